package parse

func (s *CreateKeyspace) String() string  { return printed(s) }
func (s *AlterKeyspace) String() string   { return printed(s) }
func (s *DropKeyspace) String() string    { return printed(s) }
func (s *CreateTable) String() string     { return printed(s) }
func (s *AlterTable) String() string      { return printed(s) }
func (s *DropTable) String() string       { return printed(s) }
func (s *CreateType) String() string      { return printed(s) }
func (s *AlterType) String() string       { return printed(s) }
func (s *DropType) String() string        { return printed(s) }
func (s *CreateIndex) String() string     { return printed(s) }
func (s *DropIndex) String() string       { return printed(s) }
func (s *Role) String() string            { return printed(s) }
func (s *DropRole) String() string        { return printed(s) }
func (s *GrantRole) String() string       { return printed(s) }
func (s *GrantPermission) String() string { return printed(s) }
func (s *ListRoles) String() string       { return printed(s) }
func (s *ListPermissions) String() string { return printed(s) }

const (
	ifExistsText    = "IF EXISTS "
	ifNotExistsText = "IF NOT EXISTS "
)

func (s *CreateKeyspace) print(w *printer) {
	w.str("CREATE KEYSPACE ")
	w.when(s.IfNotExists, ifNotExistsText)
	w.name(s.Name)
	w.with(0, s.Properties)
}

func (s *AlterKeyspace) print(w *printer) {
	w.str("ALTER KEYSPACE ")
	w.when(s.IfExists, ifExistsText)
	w.name(s.Name)
	w.with(0, s.Properties)
}

func (s *DropKeyspace) print(w *printer) {
	w.str("DROP KEYSPACE ")
	w.when(s.IfExists, ifExistsText)
	w.name(s.Name)
}

// with writes WITH and the properties behind n terms already written.
func (w *printer) with(n int, list []Property) {
	for i := range list {
		w.term(n + i)
		w.name(list[i].Name)
		w.str(" = ")
		if list[i].IsMap {
			w.entries(list[i].Map)
		} else {
			list[i].Value.print(w)
		}
	}
}

// term begins the n-th term of a WITH clause.
func (w *printer) term(n int) {
	if n == 0 {
		w.str(" WITH ")
	} else {
		w.str(" AND ")
	}
}

func (w *printer) entries(list []PropertyEntry) {
	w.str("{")
	w.each(len(list), ", ", func(i int) {
		list[i].Key.print(w)
		w.str(": ")
		list[i].Value.print(w)
	})
	w.str("}")
}

func (s *CreateTable) print(w *printer) {
	w.str("CREATE TABLE ")
	w.when(s.IfNotExists, ifNotExistsText)
	s.Table.print(w)
	w.str(" (")
	clauses := s.KeyClauses // as many as were written, for all but one are an error
	w.each(len(s.Columns), ", ", func(i int) {
		s.Columns[i].print(w)
		if s.Columns[i].PrimaryKey {
			w.str(" PRIMARY KEY")
			clauses--
		}
	})
	w.when(len(s.Columns) > 0 && clauses > 0, ", ")
	w.each(clauses, ", ", func(int) {
		w.str("PRIMARY KEY ((")
		w.names(s.PartitionKey)
		w.str(")")
		w.when(len(s.Clustering) > 0, ", ")
		w.names(s.Clustering)
		w.str(")")
	})
	w.str(")")
	n := 0
	if s.CompactStorage {
		w.term(n)
		w.str("COMPACT STORAGE")
		n++
	}
	if len(s.ClusteringOrder) > 0 {
		w.term(n)
		n++
		w.str("CLUSTERING ORDER BY (")
		w.each(len(s.ClusteringOrder), ", ", func(i int) {
			w.name(s.ClusteringOrder[i].Column)
			if s.ClusteringOrder[i].Descending {
				w.str(" DESC")
			} else {
				w.str(" ASC")
			}
		})
		w.str(")")
	}
	w.with(n, s.Properties)
}

func (c *ColumnDef) print(w *printer) {
	w.name(c.Name)
	w.str(" ")
	c.Type.print(w)
	w.when(c.Static, " STATIC")
	w.mask(c)
}

func (w *printer) mask(c *ColumnDef) {
	switch {
	case c.Mask != nil:
		w.str(" MASKED WITH ")
		c.Mask.print(w)
	case c.Masked:
		w.str(" MASKED WITH DEFAULT")
	}
}

func (s *AlterTable) print(w *printer) {
	w.str("ALTER TABLE ")
	w.when(s.IfExists, ifExistsText)
	s.Table.print(w)
	w.str(" ")
	switch s.Op {
	case AlterColumnType:
		w.str("ALTER ")
		w.name(s.Columns[0].Name)
		w.str(" TYPE ")
		s.Columns[0].Type.print(w)
	case AlterColumnMask:
		w.str("ALTER ")
		w.when(s.IfColumn, ifExistsText)
		w.name(s.Columns[0].Name)
		w.mask(&s.Columns[0])
		w.when(!s.Columns[0].Masked, " DROP MASKED")
	case AddColumns:
		w.str("ADD ")
		w.when(s.IfColumn, ifNotExistsText)
		w.str("(")
		w.each(len(s.Columns), ", ", func(i int) { s.Columns[i].print(w) })
		w.str(")")
	case DropColumns:
		w.str("DROP ")
		w.when(s.IfColumn, ifExistsText)
		w.str("(")
		w.names(s.Names)
		w.str(")")
		if s.Timestamp != nil {
			w.str(" USING TIMESTAMP ")
			s.Timestamp.print(w)
		}
	case RenameColumns:
		w.str("RENAME ")
		w.when(s.IfColumn, ifExistsText)
		w.renames(s.Renames)
	case DropCompactStorage:
		w.str("DROP COMPACT STORAGE")
	case AlterTableProperties:
		w.buf = w.buf[:len(w.buf)-1]
		w.with(0, s.Properties)
	}
}

func (w *printer) renames(list []Rename) {
	w.each(len(list), " AND ", func(i int) {
		w.name(list[i].From)
		w.str(" TO ")
		w.name(list[i].To)
	})
}

func (s *DropTable) print(w *printer) {
	w.str("DROP TABLE ")
	w.when(s.IfExists, ifExistsText)
	s.Table.print(w)
}

func (s *CreateType) print(w *printer) {
	w.str("CREATE TYPE ")
	w.when(s.IfNotExists, ifNotExistsText)
	w.userType(s.Name)
	w.str(" (")
	w.each(len(s.Fields), ", ", func(i int) { s.Fields[i].print(w) })
	w.str(")")
}

func (f *FieldDef) print(w *printer) {
	w.name(f.Name)
	w.str(" ")
	f.Type.print(w)
}

func (s *AlterType) print(w *printer) {
	w.str("ALTER TYPE ")
	w.when(s.IfExists, ifExistsText)
	w.userType(s.Name)
	switch s.Op {
	case AlterFieldType:
		w.str(" ALTER ")
		w.name(s.Field.Name)
		w.str(" TYPE ")
		s.Field.Type.print(w)
	case AddField:
		w.str(" ADD ")
		w.when(s.IfField, ifNotExistsText)
		s.Field.print(w)
	case RenameFields:
		w.str(" RENAME ")
		w.when(s.IfField, ifExistsText)
		w.renames(s.Renames)
	}
}

func (s *DropType) print(w *printer) {
	w.str("DROP TYPE ")
	w.when(s.IfExists, ifExistsText)
	w.userType(s.Name)
}

var indexTargetNames = [...]string{IndexSimple: "", IndexValues: "values", IndexKeys: "keys",
	IndexEntries: "entries", IndexFull: "full"}

func (s *CreateIndex) print(w *printer) {
	w.str("CREATE ")
	w.when(s.Custom, "CUSTOM ")
	w.str("INDEX ")
	w.when(s.IfNotExists, ifNotExistsText)
	if s.Name != "" {
		w.name(s.Name)
		w.str(" ")
	}
	w.str("ON ")
	s.Table.print(w)
	w.str(" (")
	w.each(len(s.Targets), ", ", func(i int) {
		t := s.Targets[i]
		w.str(indexTargetNames[t.Kind])
		w.when(t.Kind != IndexSimple, "(")
		w.name(t.Column)
		w.when(t.Kind != IndexSimple, ")")
	})
	w.str(")")
	if s.Using != "" {
		w.str(" USING ")
		w.string(s.Using)
	}
	w.with(0, s.Properties)
}

func (s *DropIndex) print(w *printer) {
	w.str("DROP INDEX ")
	w.when(s.IfExists, ifExistsText)
	s.Name.print(w)
}
