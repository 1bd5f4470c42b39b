package parse

func (s *Role) print(w *printer) {
	if s.Alter {
		w.str("ALTER ")
	} else {
		w.str("CREATE ")
	}
	if s.User {
		w.str("USER ")
	} else {
		w.str("ROLE ")
	}
	switch {
	case s.IfExists && s.Alter:
		w.str(ifExistsText)
	case s.IfExists:
		w.str(ifNotExistsText)
	}
	w.string(s.Name)
	for i := range s.Options {
		if s.User {
			s.Options[i].printUser(w)
		} else {
			w.term(i)
			s.Options[i].print(w)
		}
	}
}

// printUser writes an option of a user, which has no equals sign.
func (o *RoleOption) printUser(w *printer) {
	switch o.Kind {
	case RolePassword:
		w.str(" WITH PASSWORD ")
		w.string(o.Text)
	case RoleHashedPassword:
		w.str(" WITH HASHED PASSWORD ")
		w.string(o.Text)
	case RoleSuperuser:
		w.when(o.Bool, " SUPERUSER")
		w.when(!o.Bool, " NOSUPERUSER")
	}
}

func (o *RoleOption) print(w *printer) {
	switch o.Kind {
	case RolePassword:
		w.str("PASSWORD = ")
		w.string(o.Text)
	case RoleHashedPassword:
		w.str("HASHED PASSWORD = ")
		w.string(o.Text)
	case RoleCustom:
		w.str("OPTIONS = ")
		w.entries(o.Map)
	case RoleSuperuser, RoleLogin:
		w.str(roleOptionNames[o.Kind])
		w.when(o.Bool, " = true")
		w.when(!o.Bool, " = false")
	case RoleAllDatacenters:
		w.str("ACCESS TO ALL DATACENTERS")
	case RoleDatacenters:
		w.str("ACCESS TO DATACENTERS ")
		w.strings(o.List)
	case RoleAllCIDRs:
		w.str("ACCESS FROM ALL CIDRS")
	case RoleCIDRs:
		w.str("ACCESS FROM CIDRS ")
		w.strings(o.List)
	}
}

func (w *printer) strings(list []string) {
	w.str("{")
	w.each(len(list), ", ", func(i int) { w.string(list[i]) })
	w.str("}")
}

func (s *DropRole) print(w *printer) {
	if s.User {
		w.str("DROP USER ")
	} else {
		w.str("DROP ROLE ")
	}
	w.when(s.IfExists, ifExistsText)
	w.string(s.Name)
}

// grantWords writes GRANT or REVOKE and returns the word before the role.
func (w *printer) grantWords(revoke bool) string {
	if revoke {
		w.str("REVOKE ")
		return " FROM "
	}
	w.str("GRANT ")
	return " TO "
}

func (s *GrantRole) print(w *printer) {
	toward := w.grantWords(s.Revoke)
	w.string(s.Role)
	w.str(toward)
	w.string(s.Grantee)
}

func (s *GrantPermission) print(w *printer) {
	toward := w.grantWords(s.Revoke)
	w.permissions(s.Permissions)
	w.str(" ON ")
	s.Resource.print(w)
	w.str(toward)
	w.string(s.Grantee)
}

func (w *printer) permissions(list []string) {
	w.when(list == nil, "ALL PERMISSIONS")
	w.each(len(list), ", ", func(i int) { w.str(list[i]) })
}

var resourceNames = [...]string{NoResource: "", AllKeyspaces: "ALL KEYSPACES", KeyspaceResource: "KEYSPACE ",
	AllTables: "ALL TABLES IN KEYSPACE ", TableResource: "TABLE ", AllRoles: "ALL ROLES", RoleResource: "ROLE ",
	AllFunctions: "ALL FUNCTIONS", KeyspaceFunctions: "ALL FUNCTIONS IN KEYSPACE ", FunctionResource: "FUNCTION ",
	AllMBeans: "ALL MBEANS", MBeanResource: "MBEAN ", MBeansResource: "MBEANS "}

func (r *Resource) print(w *printer) {
	w.str(resourceNames[r.Kind])
	switch r.Kind {
	case KeyspaceResource, AllTables, KeyspaceFunctions:
		w.name(r.Name.Keyspace)
	case TableResource:
		r.Name.print(w)
	case RoleResource, MBeanResource, MBeansResource:
		w.string(r.Name.Name)
	case FunctionResource:
		w.function(r.Name)
		w.str("(")
		w.each(len(r.Args), ", ", func(i int) { r.Args[i].print(w) })
		w.str(")")
	}
}

func (s *ListRoles) print(w *printer) {
	if s.Users {
		w.str("LIST USERS")
		return
	}
	w.str("LIST ROLES")
	w.listTail(s.Of, s.NoRecursive)
}

func (w *printer) listTail(of string, noRecursive bool) {
	if of != "" {
		w.str(" OF ")
		w.string(of)
	}
	w.when(noRecursive, " NORECURSIVE")
}

func (s *ListPermissions) print(w *printer) {
	w.str("LIST ")
	w.permissions(s.Permissions)
	if s.Resource.Kind != NoResource {
		w.str(" ON ")
		s.Resource.print(w)
	}
	w.listTail(s.Of, s.NoRecursive)
}
