package parse

import "strings"

// roleName takes the name of a role, which may be a string.
func (p *parser) roleName() string {
	if p.at(tokString) {
		return p.expectText(tokString)
	}
	return p.named("role")
}

// userName takes the name of a user: no keywords, and no quoted names.
func (p *parser) userName() string {
	switch p.tok.kind {
	case tokString:
		return p.expectText(tokString)
	case tokIdent:
		return p.name()
	case tokQuoted:
		p.plain("Quoted strings are are not supported for user names and USER is deprecated, please use ROLE")
	default:
		p.noViable()
	}
	return ""
}

// role takes CREATE or ALTER of a role or user, from ROLE or USER on.
func (p *parser) role(alter bool) Statement {
	s := &Role{Alter: alter, User: p.at(kwUser)}
	p.advance()
	if alter {
		s.IfExists = p.ifExists()
	} else {
		s.IfExists = p.ifNotExists()
	}
	if s.User {
		s.Name = p.userName()
		p.userOptions(s)
	} else {
		s.Name = p.roleName()
		if p.accept(kwWith) {
			p.roleOption(s)
			for p.accept(kwAnd) {
				p.roleOption(s)
			}
		}
	}
	passwords := 0
	for _, o := range s.Options {
		if o.Kind == RolePassword || o.Kind == RoleHashedPassword {
			passwords++
		}
	}
	if passwords > 1 {
		p.plain("Options 'password' and 'hashed password' are mutually exclusive")
	}
	return s
}

// userOptions takes [WITH [HASHED] PASSWORD 'x'] [SUPERUSER | NOSUPERUSER].
func (p *parser) userOptions(s *Role) {
	if p.accept(kwWith) {
		o := RoleOption{Kind: RolePassword}
		if p.accept(kwHashed) {
			o.Kind = RoleHashedPassword
		} else if !p.at(kwPassword) {
			p.noViable()
		}
		p.expect(kwPassword)
		o.Text = p.expectText(tokString)
		s.Options = append(s.Options, o)
	}
	switch {
	case p.accept(kwSuperuser):
		s.Options = append(s.Options, RoleOption{Kind: RoleSuperuser, Bool: true})
	case p.accept(kwNosuperuser):
		s.Options = append(s.Options, RoleOption{Kind: RoleSuperuser})
	}
}

var roleOptionNames = [...]string{RolePassword: "PASSWORD", RoleHashedPassword: "HASHED_PASSWORD",
	RoleCustom: "OPTIONS", RoleSuperuser: "SUPERUSER", RoleLogin: "LOGIN"}

func (p *parser) roleOption(s *Role) {
	o := RoleOption{}
	switch {
	case p.acceptAll(kwPassword, tokEq):
		o.Kind, o.Text = RolePassword, p.expectText(tokString)
	case p.acceptAll(kwHashed, kwPassword, tokEq):
		o.Kind, o.Text = RoleHashedPassword, p.expectText(tokString)
	case p.acceptAll(kwOptions, tokEq):
		if !p.at(tokLBrace) {
			p.mismatch(tokLBrace)
		}
		o.Kind, o.Map = RoleCustom, p.propertyMap()
	case p.acceptAll(kwSuperuser, tokEq):
		o.Kind, o.Bool = RoleSuperuser, p.boolean()
	case p.acceptAll(kwLogin, tokEq):
		o.Kind, o.Bool = RoleLogin, p.boolean()
	case p.at(kwAccess):
		p.access(&o)
	default:
		p.noViable()
	}
	if len(s.Options) >= propertiesMax {
		p.plain("more than 256 options")
	}
	for _, other := range s.Options {
		if other.Kind == o.Kind && o.Kind <= RoleLogin {
			p.plain("Multiple definition for property '" + roleOptionNames[o.Kind] + "'")
		}
	}
	s.Options = append(s.Options, o)
}

func (p *parser) boolean() bool { return strings.EqualFold(p.expectText(tokBoolean), "true") }

// access takes ACCESS TO [ALL] DATACENTERS or ACCESS FROM [ALL] CIDRS.
func (p *parser) access(o *RoleOption) {
	first := p.tok
	p.advance()
	all, listed, what := RoleAllDatacenters, RoleDatacenters, kwDatacenters
	if p.accept(kwFrom) {
		all, listed, what = RoleAllCIDRs, RoleCIDRs, kwCidrs
	} else if !p.accept(kwTo) {
		p.noViableFrom(first)
	}
	o.Kind = listed
	if p.accept(kwAll) {
		o.Kind = all
		p.expect(what)
		return
	}
	if !p.at(what) {
		p.noViableBehind(first)
	}
	p.expect(what)
	p.expect(tokLBrace)
	o.List = append(o.List, p.expectText(tokString))
	for p.accept(tokComma) {
		o.List = append(o.List, p.expectText(tokString))
	}
	p.expect(tokRBrace)
}

// grant takes GRANT and REVOKE, of permissions and of roles.
func (p *parser) grant() Statement {
	revoke := p.at(kwRevoke)
	p.advance()
	toward := kwTo
	if revoke {
		toward = kwFrom
	}
	if !p.atPermission() {
		s := &GrantRole{Revoke: revoke, Role: p.roleName()}
		p.expect(toward)
		s.Grantee = p.roleName()
		return s
	}
	s := &GrantPermission{Revoke: revoke, Permissions: p.permissions()}
	p.expect(kwOn)
	s.Resource = p.resource()
	p.expect(toward)
	s.Grantee = p.roleName()
	return s
}

func isPermission(k kind) bool {
	switch k {
	case kwCreate, kwAlter, kwDrop, kwSelect, kwModify, kwAuthorize, kwDescribe, kwExecute, kwUnmask, kwSelectMasked:
		return true
	}
	return false
}

// atPermission tells a permission from a role of that name: the unreserved words
// among them are roles before TO and FROM.
func (p *parser) atPermission() bool {
	k := p.tok.kind
	if k == kwAll || isPermission(k) && !isReserved(k) {
		next := p.peek()
		return next != kwTo && next != kwFrom
	}
	return isPermission(k)
}

// permissions takes ALL [PERMISSIONS], which is nil, or permission
// [PERMISSION] {, ...}.
func (p *parser) permissions() (list []string) {
	if p.accept(kwAll) {
		p.accept(kwPermissions)
		return nil
	}
	for {
		if !isPermission(p.tok.kind) {
			p.noViable()
			return nil
		}
		list = append(list, strings.ToUpper(p.text(p.tok)))
		p.advance()
		p.accept(kwPermission)
		if !p.accept(tokComma) {
			return list
		}
	}
}

func (p *parser) resource() Resource {
	first := p.tok
	switch {
	case p.at(kwAll) && p.peek() != tokDot && p.peek() != kwTo && p.peek() != kwFrom:
		p.advance()
		return p.allResource(first)
	case p.accept(kwKeyspace):
		return Resource{Kind: KeyspaceResource, Name: QualifiedName{Keyspace: p.keyspaceName()}}
	case p.accept(kwTable):
		return Resource{Kind: TableResource, Name: p.table()}
	case p.at(kwRole) && p.peek() != tokDot && p.peek() != kwTo && p.peek() != kwFrom:
		p.advance()
		return Resource{Kind: RoleResource, Name: QualifiedName{Name: p.roleName()}}
	case p.at(kwMbean) && p.peek() == tokString:
		p.advance()
		return Resource{Kind: MBeanResource, Name: QualifiedName{Name: p.expectText(tokString)}}
	case p.at(kwMbeans) && p.peek() == tokString:
		p.advance()
		return Resource{Kind: MBeansResource, Name: QualifiedName{Name: p.expectText(tokString)}}
	case p.at(kwFunction) && p.peek() != tokDot && p.peek() != kwTo && p.peek() != kwFrom:
		p.advance()
		return p.functionResource()
	}
	return Resource{Kind: TableResource, Name: p.table()}
}

func (p *parser) allResource(first token) Resource {
	switch {
	case p.accept(kwKeyspaces):
		return Resource{Kind: AllKeyspaces}
	case p.accept(kwTables):
		p.acceptAll(kwIn, kwKeyspace)
		return Resource{Kind: AllTables, Name: QualifiedName{Keyspace: p.keyspaceName()}}
	case p.accept(kwRoles):
		return Resource{Kind: AllRoles}
	case p.accept(kwMbeans):
		return Resource{Kind: AllMBeans}
	case p.accept(kwFunctions):
		if p.acceptAll(kwIn, kwKeyspace) {
			return Resource{Kind: KeyspaceFunctions, Name: QualifiedName{Keyspace: p.keyspaceName()}}
		}
		return Resource{Kind: AllFunctions}
	}
	p.noViableFrom(first)
	return Resource{}
}

func (p *parser) functionResource() Resource {
	r := Resource{Kind: FunctionResource}
	if !isName(p.tok.kind) && !p.at(kwToken) {
		p.noViable()
		return r
	}
	var ok bool
	if r.Name, ok = p.functionName(); !ok {
		p.noViable()
	}
	p.expect(tokLParen)
	if p.accept(tokRParen) {
		return r
	}
	r.Args = append(r.Args, p.typeExpr())
	for p.accept(tokComma) {
		r.Args = append(r.Args, p.typeExpr())
	}
	p.expect(tokRParen)
	return r
}

// list takes LIST ROLES, USERS or permissions.
func (p *parser) list() Statement {
	first := p.tok
	p.advance()
	switch {
	case p.accept(kwUsers):
		return &ListRoles{Users: true}
	case p.accept(kwRoles):
		s := &ListRoles{}
		if p.accept(kwOf) {
			s.Of = p.roleName()
		}
		s.NoRecursive = p.accept(kwNorecursive)
		return s
	case p.at(tokEOF):
		p.noViable()
		return nil
	case !p.at(kwAll) && !isPermission(p.tok.kind):
		p.noViableFrom(first)
		return nil
	}
	s := &ListPermissions{Permissions: p.permissions()}
	if p.accept(kwOn) {
		s.Resource = p.resource()
	}
	if p.accept(kwOf) {
		s.Of = p.roleName()
	}
	s.NoRecursive = p.accept(kwNorecursive)
	return s
}
