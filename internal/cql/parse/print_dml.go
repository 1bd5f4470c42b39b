package parse

var operatorNames = [...]string{Eq: "=", Neq: "!=", Lt: "<", Le: "<=", Gt: ">", Ge: ">=", In: "IN",
	Contains: "CONTAINS", ContainsKey: "CONTAINS KEY", Like: "LIKE", IsNotNull: "IS NOT NULL"}

// String is the operator in CQL.
func (o Operator) String() string { return operatorNames[o] }

// The String methods implement Statement.

func (s *Use) String() string      { return printed(s) }
func (s *Select) String() string   { return printed(s) }
func (s *Insert) String() string   { return printed(s) }
func (s *Update) String() string   { return printed(s) }
func (s *Delete) String() string   { return printed(s) }
func (s *Batch) String() string    { return printed(s) }
func (s *Truncate) String() string { return printed(s) }
func (s *Describe) String() string { return printed(s) }

// String is the statement as it was written: there is no tree to render.
func (s *Unsupported) String() string { return s.Text }

func (s *Unsupported) print(w *printer) { w.str(s.Text) }

func (s *Use) print(w *printer) {
	w.str("USE ")
	w.name(s.Keyspace)
}

func (s *Select) print(w *printer) {
	w.str("SELECT ")
	w.when(s.JSON, "JSON ")
	w.when(s.Distinct, "DISTINCT ")
	w.when(s.Columns == nil, "*")
	w.each(len(s.Columns), ", ", func(i int) {
		s.Columns[i].Expr.print(w)
		if s.Columns[i].Alias != "" {
			w.str(" AS ")
			w.name(s.Columns[i].Alias)
		}
	})
	w.str(" FROM ")
	s.From.print(w)
	if len(s.Where) > 0 {
		w.str(" WHERE ")
		w.relations(s.Where)
	}
	if len(s.GroupBy) > 0 {
		w.str(" GROUP BY ")
		w.exprs(s.GroupBy)
	}
	if len(s.OrderBy) > 0 {
		w.str(" ORDER BY ")
		w.each(len(s.OrderBy), ", ", func(i int) { s.OrderBy[i].print(w) })
	}
	w.optional(" PER PARTITION LIMIT ", s.PerPartitionLimit)
	w.optional(" LIMIT ", s.Limit)
	w.when(s.AllowFiltering, " ALLOW FILTERING")
}

// optional writes a prefix and an expression if there is one.
func (w *printer) optional(prefix string, e Expr) {
	if e != nil {
		w.str(prefix)
		e.print(w)
	}
}

func (o Ordering) print(w *printer) {
	w.name(o.Column)
	w.optional(" ANN OF ", o.ANN)
	w.when(o.Descending, " DESC")
}

func (w *printer) relations(list []Relation) {
	w.each(len(list), " AND ", func(i int) { list[i].print(w) })
}

func (r *Relation) print(w *printer) {
	switch r.Kind {
	case CustomRelation:
		w.str("expr(")
		r.Index.print(w)
		w.str(", ")
		r.Value.print(w)
		w.str(")")
		return
	case TokenRelation, TupleRelation:
		w.when(r.Kind == TokenRelation, "token")
		w.str("(")
		w.names(r.Columns)
		w.str(")")
	default:
		w.name(r.Columns[0])
		if r.Kind == ElementRelation {
			w.str("[")
			r.Key.print(w)
			w.str("]")
		}
	}
	w.comparison(r.Op, r.Value, r.Values)
}

// comparison writes an operator and its right side.
func (w *printer) comparison(op Operator, value Expr, values []Expr) {
	w.str(" ")
	w.str(op.String())
	switch {
	case value != nil:
		w.str(" ")
		value.print(w)
	case op == In:
		w.str(" (")
		w.exprs(values)
		w.str(")")
	}
}

func (u Using) print(w *printer) {
	if u.TTLFirst {
		w.optional(" USING TTL ", u.TTL)
		w.optional(" AND TIMESTAMP ", u.Timestamp)
		return
	}
	w.optional(" USING TIMESTAMP ", u.Timestamp)
	w.optional(" AND TTL ", u.TTL)
}

func (s *Insert) print(w *printer) {
	w.str("INSERT INTO ")
	s.Into.print(w)
	if s.JSON != nil {
		w.str(" JSON ")
		s.JSON.print(w)
		w.when(s.JSONDefaultUnset, " DEFAULT UNSET")
	} else {
		w.str(" (")
		w.names(s.Columns)
		w.str(") VALUES (")
		w.exprs(s.Values)
		w.str(")")
	}
	w.when(s.IfNotExists, " IF NOT EXISTS")
	s.Using.print(w)
}

func (s *Update) print(w *printer) {
	w.str("UPDATE ")
	s.Table.print(w)
	s.Using.print(w)
	w.str(" SET ")
	w.each(len(s.Assignments), ", ", func(i int) { s.Assignments[i].print(w) })
	w.str(" WHERE ")
	w.relations(s.Where)
	w.conditions(s.IfExists, s.Conditions)
}

func (a *Assignment) print(w *printer) {
	w.name(a.Column)
	switch a.Op {
	case Set, Prepend:
		w.str(" = ")
	case Add:
		w.str(" += ")
	case Subtract:
		w.str(" -= ")
	case SetElement:
		w.str("[")
		a.Key.print(w)
		w.str("] = ")
	case SetField:
		w.str(".")
		w.name(a.Field)
		w.str(" = ")
	}
	a.Value.print(w)
	if a.Op == Prepend {
		w.str(" + ")
		w.name(a.Column)
	}
}

func (w *printer) conditions(exists bool, list []Condition) {
	if exists {
		w.str(" IF EXISTS")
		return
	}
	w.when(len(list) > 0, " IF ")
	w.each(len(list), " AND ", func(i int) { list[i].print(w) })
}

func (c *Condition) print(w *printer) {
	w.name(c.Column)
	if c.Key != nil {
		w.str("[")
		c.Key.print(w)
		w.str("]")
	} else if c.Field != "" {
		w.str(".")
		w.name(c.Field)
	}
	w.comparison(c.Op, c.Value, c.Values)
}

func (s *Delete) print(w *printer) {
	w.str("DELETE ")
	w.each(len(s.Columns), ", ", func(i int) {
		d := s.Columns[i]
		w.name(d.Column)
		if d.Key != nil {
			w.str("[")
			d.Key.print(w)
			w.str("]")
		} else if d.Field != "" {
			w.str(".")
			w.name(d.Field)
		}
	})
	w.when(len(s.Columns) > 0, " ")
	w.str("FROM ")
	s.From.print(w)
	s.Using.print(w)
	w.str(" WHERE ")
	w.relations(s.Where)
	w.conditions(s.IfExists, s.Conditions)
}

func (s *Batch) print(w *printer) {
	w.str("BEGIN ")
	w.when(s.Kind == Unlogged, "UNLOGGED ")
	w.when(s.Kind == CounterBatch, "COUNTER ")
	w.str("BATCH")
	s.Using.print(w)
	for _, child := range s.Statements {
		w.str(" ")
		child.print(w)
		w.str(";")
	}
	w.str(" APPLY BATCH")
}

func (s *Truncate) print(w *printer) {
	w.str("TRUNCATE TABLE ")
	s.Table.print(w)
}

var describeNames = [...]string{DescribeCluster: "CLUSTER", DescribeSchema: "SCHEMA",
	DescribeKeyspaces: "KEYSPACES", DescribeKeyspace: "KEYSPACE", DescribeTables: "TABLES",
	DescribeTable: "TABLE", DescribeIndex: "INDEX", DescribeView: "MATERIALIZED VIEW", DescribeTypes: "TYPES",
	DescribeType: "TYPE", DescribeFunctions: "FUNCTIONS", DescribeFunction: "FUNCTION",
	DescribeAggregates: "AGGREGATES", DescribeAggregate: "AGGREGATE", DescribeGeneric: ""}

func (s *Describe) print(w *printer) {
	w.str("DESCRIBE ")
	w.when(s.Full, "FULL ")
	w.when(s.Only, "ONLY ")
	w.str(describeNames[s.What])
	switch s.What {
	case DescribeKeyspace:
		if s.Name.Name != "" {
			w.str(" ")
			w.name(s.Name.Name)
		}
	case DescribeGeneric:
		if s.Name.Keyspace != "" {
			w.anyKeywordName(s.Name.Keyspace)
			w.str(".")
		}
		w.anyKeywordName(s.Name.Name)
	case DescribeType:
		w.str(" ")
		w.userType(s.Name)
	case DescribeFunction, DescribeAggregate:
		w.str(" ")
		w.function(s.Name)
	case DescribeTable, DescribeIndex, DescribeView:
		w.str(" ")
		s.Name.print(w)
	}
	w.when(s.Internals, " WITH INTERNALS")
}

func (w *printer) userType(n QualifiedName) {
	t := TypeExpr{Kind: NamedType, Name: n}
	t.print(w)
}
