package tidy

import (
	"go/ast"
	"go/token"
)

// stateful are types whose whole point is to change. sync.Pool is not among
// them: what it keeps cannot be seen by its users.
var stateful = map[string]bool{
	"sync.Mutex": true, "sync.RWMutex": true, "sync.Once": true, "sync.Map": true,
	"sync.WaitGroup": true, "sync.Cond": true,
	"atomic.Bool": true, "atomic.Int32": true, "atomic.Int64": true, "atomic.Uint32": true,
	"atomic.Uint64": true, "atomic.Pointer": true, "atomic.Value": true, "atomic.Uintptr": true,
}

// Variables finds package variables that change and init functions. It sees
// assignments, element and field writes, delete, clear, copy and & of the whole
// variable; a method that changes its receiver escapes it.
func Variables(src *Source) []Finding {
	var findings []Finding
	for _, p := range src.Packages {
		vars := map[string]any{}
		for _, f := range p.Files {
			if !f.Test {
				findings = append(findings, declared(src, f, vars)...)
			}
		}
		for _, f := range p.Files {
			if !f.Test {
				findings = append(findings, writes(src, f, vars)...)
			}
		}
	}
	return findings
}

// declared gathers a file's package variables and reports stateful types and init.
func declared(src *Source, f *File, vars map[string]any) []Finding {
	var findings []Finding
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				findings = append(findings, src.at("vars", d.Pos(), "init(): do it where it is needed, by a call"))
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				for _, n := range v.Names {
					if n.Name != "_" {
						vars[n.Name] = n.Obj // the same for every use in this file
					}
				}
				if t := typeName(v); stateful[t] {
					findings = append(findings, src.at("vars", v.Pos(), "package variable %s is a %s: make it a field", v.Names[0].Name, t))
				}
			}
		}
	}
	return findings
}

// typeName renders "pkg.Type" of a declared or literal type.
func typeName(v *ast.ValueSpec) string {
	t := v.Type
	if t == nil && len(v.Values) == 1 {
		e := v.Values[0]
		if u, ok := e.(*ast.UnaryExpr); ok {
			e = u.X
		}
		if c, ok := e.(*ast.CompositeLit); ok {
			t = c.Type
		}
	}
	if x, ok := t.(*ast.StarExpr); ok {
		t = x.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	if sel, ok := t.(*ast.SelectorExpr); ok {
		if pkg, ok := sel.X.(*ast.Ident); ok {
			return pkg.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

// writes finds the places of a file that change one of the variables.
func writes(src *Source, f *File, vars map[string]any) []Finding {
	unresolved := map[*ast.Ident]bool{}
	for _, id := range f.AST.Unresolved {
		unresolved[id] = true
	}
	var findings []Finding
	change := func(e ast.Expr, how string) {
		id := base(e)
		if id == nil || vars[id.Name] == nil {
			return
		}
		if id.Obj == vars[id.Name] || unresolved[id] {
			findings = append(findings, src.at("vars", e.Pos(), "package variable %s %s: make it a field", id.Name, how))
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, lhs := range n.Lhs {
					change(lhs, "is written")
				}
			}
		case *ast.IncDecStmt:
			change(n.X, "is written")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				change(n.Key, "is written")
			}
		case *ast.UnaryExpr:
			// &table[i] is how interned values are handed out; &x invites a write.
			if _, whole := n.X.(*ast.Ident); whole && n.Op == token.AND {
				change(n.X, "is handed out by address")
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && (fn.Name == "delete" || fn.Name == "clear" || fn.Name == "copy") {
				change(n.Args[0], "is changed by "+fn.Name)
			}
		}
		return true
	})
	return findings
}

// base finds the variable that an expression's memory hangs on.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
