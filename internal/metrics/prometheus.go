package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace begins every exported name.
const namespace = "helenus"

// Handler serves the table in Prometheus' text format, with the Go runtime's
// own numbers.
func (r *Registry) Handler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{r}, collectors.NewGoCollector())
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// collector shows a Registry to Prometheus. It describes nothing beforehand,
// because facts with labels come and go with tables.
type collector struct{ r *Registry }

func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, f := range c.r.Facts() {
		scale := 1.0
		unit := f.Unit
		if unit == Microseconds { // Prometheus wants base units
			scale, unit = 1e-6, Seconds
		}
		desc := prometheus.NewDesc(exportedName(f, unit), f.Help, f.Labels, nil)
		f.Read(func(v Value) {
			m, err := metric(desc, f.Kind, v, scale)
			if err != nil {
				m = prometheus.NewInvalidMetric(desc, err)
			}
			out <- m
		})
	}
}

func exportedName(f Fact, unit Unit) string {
	name := namespace + "_" + f.Name
	if suffix := "_" + string(unit); unit != None && !strings.HasSuffix(name, suffix) {
		name += suffix
	}
	if f.Kind == CounterKind {
		name += "_total"
	}
	return name
}

func metric(desc *prometheus.Desc, kind Kind, v Value, scale float64) (prometheus.Metric, error) {
	switch kind {
	case HistogramKind:
		buckets := map[float64]uint64{}
		v.Histogram.Buckets(func(end, cumulated int64) { buckets[float64(end)*scale] = uint64(cumulated) })
		return prometheus.NewConstHistogram(desc, uint64(v.Histogram.Count), float64(v.Histogram.Sum)*scale, buckets, v.Labels...)
	case CounterKind:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, v.Number*scale, v.Labels...)
	default:
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, v.Number*scale, v.Labels...)
	}
}
