package tidy

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// onlyPort is a literal that can only be an address to listen on or to dial.
var onlyPort = regexp.MustCompile(`^:[1-9]\d{1,4}$`)

// hostPort is an address with a port other than 0.
var hostPort = regexp.MustCompile(`^[\w.\-\[\]:]*:[1-9]\d{1,4}$`)

// Tests checks what tests may not do: sleep outside a synctest bubble, and
// listen on or dial a fixed port.
func Tests(src *Source) []Finding {
	var findings []Finding
	src.Files(func(_ *Package, f *File) {
		if !f.Test {
			return
		}
		_, bubble := f.imports()["testing/synctest"]
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := calledName(n)
				if name == "time.Sleep" && !bubble {
					findings = append(findings, src.at("tests", n.Pos(), "time.Sleep in a test: wait for the event, or use testing/synctest"))
				}
				if strings.Contains(name, "Listen") || strings.Contains(name, "Dial") {
					findings = append(findings, fixedPorts(src, n)...)
				}
			case *ast.BasicLit:
				if s, ok := literal(n); ok && onlyPort.MatchString(s) {
					findings = append(findings, src.at("tests", n.Pos(), "fixed port %q in a test: take port 0", s))
				}
			}
			return true
		})
	})
	return findings
}

func fixedPorts(src *Source, call *ast.CallExpr) []Finding {
	var findings []Finding
	for _, arg := range call.Args {
		lit, ok := arg.(*ast.BasicLit)
		if !ok {
			continue
		}
		if s, ok := literal(lit); ok && hostPort.MatchString(s) && !onlyPort.MatchString(s) {
			findings = append(findings, src.at("tests", lit.Pos(), "fixed port in %q in a test: take port 0", s))
		}
	}
	return findings
}

func literal(n *ast.BasicLit) (string, bool) {
	if n.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(n.Value)
	return s, err == nil
}

// calledName renders the called function as "x.F" or "F".
func calledName(call *ast.CallExpr) string {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		if x, ok := fn.X.(*ast.Ident); ok {
			return x.Name + "." + fn.Sel.Name
		}
		return "." + fn.Sel.Name
	}
	return ""
}
