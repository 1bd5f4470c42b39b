package parse

// kind is the kind of a token.
type kind uint8

// Tokens that are not keywords. tokStop stands for every token after a failure.
const (
	tokStop kind = iota
	tokEOF
	tokIdent
	tokQuoted
	tokEmptyQuoted
	tokString
	tokInteger
	tokFloat
	tokBoolean
	tokUUID
	tokHex
	tokDuration
	tokNaN
	tokInfinity
	tokMarker
	tokExprOpen
	tokLParen
	tokRParen
	tokLBracket
	tokRBracket
	tokLBrace
	tokRBrace
	tokComma
	tokSemicolon
	tokColon
	tokDot
	tokRange
	tokEq
	tokLt
	tokLe
	tokGt
	tokGe
	tokNeq
	tokPlus
	tokMinus
	tokStar
	tokSlash
	tokPercent
	tokPlusEq
	tokMinusEq
)

// Reserved keywords are never identifiers.
const (
	kwSelect = tokMinusEq + 1 + iota
	kwFrom
	kwWhere
	kwAnd
	kwEntries
	kwFull
	kwInsert
	kwUpdate
	kwWith
	kwLimit
	kwUsing
	kwUse
	kwSet
	kwBegin
	kwUnlogged
	kwBatch
	kwApply
	kwTruncate
	kwDelete
	kwIn
	kwCreate
	kwSchema
	kwKeyspace
	kwTable
	kwMaterialized
	kwView
	kwIndex
	kwOn
	kwTo
	kwDrop
	kwPrimary
	kwInto
	kwAlter
	kwRename
	kwAdd
	kwOrder
	kwBy
	kwAsc
	kwDesc
	kwAllow
	kwIf
	kwIs
	kwGrant
	kwOf
	kwRevoke
	kwModify
	kwAuthorize
	kwDescribe
	kwExecute
	kwNorecursive
	kwToken
	kwNull
	kwNot
	kwOr
)

// Basic keywords are identifiers everywhere.
const (
	kwKeys = kwOr + 1 + iota
	kwAs
	kwCluster
	kwClustering
	kwCompact
	kwStorage
	kwTables
	kwType
	kwTypes
	kwValues
	kwMap
	kwList
	kwFiltering
	kwPermission
	kwPermissions
	kwKeyspaces
	kwAll
	kwUser
	kwUsers
	kwRole
	kwRoles
	kwIdentity
	kwSuperuser
	kwNosuperuser
	kwLogin
	kwNologin
	kwOptions
	kwPassword
	kwHashed
	kwExists
	kwCustom
	kwTrigger
	kwContains
	kwInternals
	kwOnly
	kwStatic
	kwFrozen
	kwTuple
	kwFunction
	kwFunctions
	kwAggregate
	kwAggregates
	kwSfunc
	kwStype
	kwFinalfunc
	kwInitcond
	kwReturns
	kwLanguage
	kwCalled
	kwInput
	kwLike
	kwPer
	kwPartition
	kwGroup
	kwDatacenters
	kwCidrs
	kwAccess
	kwDefault
	kwMbean
	kwMbeans
	kwReplace
	kwUnset
	kwMasked
	kwUnmask
	kwSelectMasked
	kwVector
	kwAnn
)

// Native types are keywords that may name anything but a user-defined type.
const (
	kwAscii = kwAnn + 1 + iota
	kwBigint
	kwBlob
	kwBoolean
	kwCounter
	kwDate
	kwDecimal
	kwDouble
	kwDuration
	kwFloat
	kwInet
	kwInt
	kwSmallint
	kwText
	kwTime
	kwTimestamp
	kwTimeuuid
	kwTinyint
	kwUuid
	kwVarchar
	kwVarint
)

// Special keywords may name anything but a function or a user-defined type.
const (
	kwTtl = kwVarint + 1 + iota
	kwCount
	kwWritetime
	kwMaxwritetime
	kwKey
	kwCast
	kwJson
	kwDistinct
)

const kindCount = int(kwDistinct) + 1

// kindNames are the names of tokens in errors.
var kindNames = [kindCount]string{
	tokEOF:         "EOF",
	tokIdent:       "IDENT",
	tokQuoted:      "QUOTED_NAME",
	tokEmptyQuoted: "EMPTY_QUOTED_NAME",
	tokString:      "STRING_LITERAL",
	tokInteger:     "INTEGER",
	tokFloat:       "FLOAT",
	tokBoolean:     "BOOLEAN",
	tokUUID:        "UUID",
	tokHex:         "HEXNUMBER",
	tokDuration:    "DURATION",
	tokNaN:         "K_POSITIVE_NAN",
	tokInfinity:    "K_POSITIVE_INFINITY",
	tokMarker:      "QMARK",
	tokExprOpen:    "'expr('",
	tokLParen:      "'('",
	tokRParen:      "')'",
	tokLBracket:    "'['",
	tokRBracket:    "']'",
	tokLBrace:      "'{'",
	tokRBrace:      "'}'",
	tokComma:       "','",
	tokSemicolon:   "';'",
	tokColon:       "':'",
	tokDot:         "'.'",
	tokRange:       "RANGE",
	tokEq:          "'='",
	tokLt:          "'<'",
	tokLe:          "'<='",
	tokGt:          "'>'",
	tokGe:          "'>='",
	tokNeq:         "'!='",
	tokPlus:        "'+'",
	tokMinus:       "'-'",
	tokStar:        "'*'",
	tokSlash:       "'/'",
	tokPercent:     "'%'",
	tokPlusEq:      "'+='",
	tokMinusEq:     "'-='",
	kwSelect:       "K_SELECT",
	kwFrom:         "K_FROM",
	kwWhere:        "K_WHERE",
	kwAnd:          "K_AND",
	kwEntries:      "K_ENTRIES",
	kwFull:         "K_FULL",
	kwInsert:       "K_INSERT",
	kwUpdate:       "K_UPDATE",
	kwWith:         "K_WITH",
	kwLimit:        "K_LIMIT",
	kwUsing:        "K_USING",
	kwUse:          "K_USE",
	kwSet:          "K_SET",
	kwBegin:        "K_BEGIN",
	kwUnlogged:     "K_UNLOGGED",
	kwBatch:        "K_BATCH",
	kwApply:        "K_APPLY",
	kwTruncate:     "K_TRUNCATE",
	kwDelete:       "K_DELETE",
	kwIn:           "K_IN",
	kwCreate:       "K_CREATE",
	kwSchema:       "K_SCHEMA",
	kwKeyspace:     "K_KEYSPACE",
	kwTable:        "K_COLUMNFAMILY",
	kwMaterialized: "K_MATERIALIZED",
	kwView:         "K_VIEW",
	kwIndex:        "K_INDEX",
	kwOn:           "K_ON",
	kwTo:           "K_TO",
	kwDrop:         "K_DROP",
	kwPrimary:      "K_PRIMARY",
	kwInto:         "K_INTO",
	kwAlter:        "K_ALTER",
	kwRename:       "K_RENAME",
	kwAdd:          "K_ADD",
	kwOrder:        "K_ORDER",
	kwBy:           "K_BY",
	kwAsc:          "K_ASC",
	kwDesc:         "K_DESC",
	kwAllow:        "K_ALLOW",
	kwIf:           "K_IF",
	kwIs:           "K_IS",
	kwGrant:        "K_GRANT",
	kwOf:           "K_OF",
	kwRevoke:       "K_REVOKE",
	kwModify:       "K_MODIFY",
	kwAuthorize:    "K_AUTHORIZE",
	kwDescribe:     "K_DESCRIBE",
	kwExecute:      "K_EXECUTE",
	kwNorecursive:  "K_NORECURSIVE",
	kwToken:        "K_TOKEN",
	kwNull:         "K_NULL",
	kwNot:          "K_NOT",
	kwOr:           "K_OR",
	kwKeys:         "K_KEYS",
	kwAs:           "K_AS",
	kwCluster:      "K_CLUSTER",
	kwClustering:   "K_CLUSTERING",
	kwCompact:      "K_COMPACT",
	kwStorage:      "K_STORAGE",
	kwTables:       "K_TABLES",
	kwType:         "K_TYPE",
	kwTypes:        "K_TYPES",
	kwValues:       "K_VALUES",
	kwMap:          "K_MAP",
	kwList:         "K_LIST",
	kwFiltering:    "K_FILTERING",
	kwPermission:   "K_PERMISSION",
	kwPermissions:  "K_PERMISSIONS",
	kwKeyspaces:    "K_KEYSPACES",
	kwAll:          "K_ALL",
	kwUser:         "K_USER",
	kwUsers:        "K_USERS",
	kwRole:         "K_ROLE",
	kwRoles:        "K_ROLES",
	kwIdentity:     "K_IDENTITY",
	kwSuperuser:    "K_SUPERUSER",
	kwNosuperuser:  "K_NOSUPERUSER",
	kwLogin:        "K_LOGIN",
	kwNologin:      "K_NOLOGIN",
	kwOptions:      "K_OPTIONS",
	kwPassword:     "K_PASSWORD",
	kwHashed:       "K_HASHED",
	kwExists:       "K_EXISTS",
	kwCustom:       "K_CUSTOM",
	kwTrigger:      "K_TRIGGER",
	kwContains:     "K_CONTAINS",
	kwInternals:    "K_INTERNALS",
	kwOnly:         "K_ONLY",
	kwStatic:       "K_STATIC",
	kwFrozen:       "K_FROZEN",
	kwTuple:        "K_TUPLE",
	kwFunction:     "K_FUNCTION",
	kwFunctions:    "K_FUNCTIONS",
	kwAggregate:    "K_AGGREGATE",
	kwAggregates:   "K_AGGREGATES",
	kwSfunc:        "K_SFUNC",
	kwStype:        "K_STYPE",
	kwFinalfunc:    "K_FINALFUNC",
	kwInitcond:     "K_INITCOND",
	kwReturns:      "K_RETURNS",
	kwLanguage:     "K_LANGUAGE",
	kwCalled:       "K_CALLED",
	kwInput:        "K_INPUT",
	kwLike:         "K_LIKE",
	kwPer:          "K_PER",
	kwPartition:    "K_PARTITION",
	kwGroup:        "K_GROUP",
	kwDatacenters:  "K_DATACENTERS",
	kwCidrs:        "K_CIDRS",
	kwAccess:       "K_ACCESS",
	kwDefault:      "K_DEFAULT",
	kwMbean:        "K_MBEAN",
	kwMbeans:       "K_MBEANS",
	kwReplace:      "K_REPLACE",
	kwUnset:        "K_UNSET",
	kwMasked:       "K_MASKED",
	kwUnmask:       "K_UNMASK",
	kwSelectMasked: "K_SELECT_MASKED",
	kwVector:       "K_VECTOR",
	kwAnn:          "K_ANN",
	kwAscii:        "K_ASCII",
	kwBigint:       "K_BIGINT",
	kwBlob:         "K_BLOB",
	kwBoolean:      "K_BOOLEAN",
	kwCounter:      "K_COUNTER",
	kwDate:         "K_DATE",
	kwDecimal:      "K_DECIMAL",
	kwDouble:       "K_DOUBLE",
	kwDuration:     "K_DURATION",
	kwFloat:        "K_FLOAT",
	kwInet:         "K_INET",
	kwInt:          "K_INT",
	kwSmallint:     "K_SMALLINT",
	kwText:         "K_TEXT",
	kwTime:         "K_TIME",
	kwTimestamp:    "K_TIMESTAMP",
	kwTimeuuid:     "K_TIMEUUID",
	kwTinyint:      "K_TINYINT",
	kwUuid:         "K_UUID",
	kwVarchar:      "K_VARCHAR",
	kwVarint:       "K_VARINT",
	kwTtl:          "K_TTL",
	kwCount:        "K_COUNT",
	kwWritetime:    "K_WRITETIME",
	kwMaxwritetime: "K_MAXWRITETIME",
	kwKey:          "K_KEY",
	kwCast:         "K_CAST",
	kwJson:         "K_JSON",
	kwDistinct:     "K_DISTINCT",
}

// keywords maps words in lower case to tokens.
var keywords = map[string]kind{
	"select":         kwSelect,
	"from":           kwFrom,
	"where":          kwWhere,
	"and":            kwAnd,
	"entries":        kwEntries,
	"full":           kwFull,
	"insert":         kwInsert,
	"update":         kwUpdate,
	"with":           kwWith,
	"limit":          kwLimit,
	"using":          kwUsing,
	"use":            kwUse,
	"set":            kwSet,
	"begin":          kwBegin,
	"unlogged":       kwUnlogged,
	"batch":          kwBatch,
	"apply":          kwApply,
	"truncate":       kwTruncate,
	"delete":         kwDelete,
	"in":             kwIn,
	"create":         kwCreate,
	"schema":         kwSchema,
	"keyspace":       kwKeyspace,
	"table":          kwTable,
	"materialized":   kwMaterialized,
	"view":           kwView,
	"index":          kwIndex,
	"on":             kwOn,
	"to":             kwTo,
	"drop":           kwDrop,
	"primary":        kwPrimary,
	"into":           kwInto,
	"alter":          kwAlter,
	"rename":         kwRename,
	"add":            kwAdd,
	"order":          kwOrder,
	"by":             kwBy,
	"asc":            kwAsc,
	"desc":           kwDesc,
	"allow":          kwAllow,
	"if":             kwIf,
	"is":             kwIs,
	"grant":          kwGrant,
	"of":             kwOf,
	"revoke":         kwRevoke,
	"modify":         kwModify,
	"authorize":      kwAuthorize,
	"describe":       kwDescribe,
	"execute":        kwExecute,
	"norecursive":    kwNorecursive,
	"token":          kwToken,
	"null":           kwNull,
	"not":            kwNot,
	"or":             kwOr,
	"keys":           kwKeys,
	"as":             kwAs,
	"cluster":        kwCluster,
	"clustering":     kwClustering,
	"compact":        kwCompact,
	"storage":        kwStorage,
	"tables":         kwTables,
	"type":           kwType,
	"types":          kwTypes,
	"values":         kwValues,
	"map":            kwMap,
	"list":           kwList,
	"filtering":      kwFiltering,
	"permission":     kwPermission,
	"permissions":    kwPermissions,
	"keyspaces":      kwKeyspaces,
	"all":            kwAll,
	"user":           kwUser,
	"users":          kwUsers,
	"role":           kwRole,
	"roles":          kwRoles,
	"identity":       kwIdentity,
	"superuser":      kwSuperuser,
	"nosuperuser":    kwNosuperuser,
	"login":          kwLogin,
	"nologin":        kwNologin,
	"options":        kwOptions,
	"password":       kwPassword,
	"hashed":         kwHashed,
	"exists":         kwExists,
	"custom":         kwCustom,
	"trigger":        kwTrigger,
	"contains":       kwContains,
	"internals":      kwInternals,
	"only":           kwOnly,
	"static":         kwStatic,
	"frozen":         kwFrozen,
	"tuple":          kwTuple,
	"function":       kwFunction,
	"functions":      kwFunctions,
	"aggregate":      kwAggregate,
	"aggregates":     kwAggregates,
	"sfunc":          kwSfunc,
	"stype":          kwStype,
	"finalfunc":      kwFinalfunc,
	"initcond":       kwInitcond,
	"returns":        kwReturns,
	"language":       kwLanguage,
	"called":         kwCalled,
	"input":          kwInput,
	"like":           kwLike,
	"per":            kwPer,
	"partition":      kwPartition,
	"group":          kwGroup,
	"datacenters":    kwDatacenters,
	"cidrs":          kwCidrs,
	"access":         kwAccess,
	"default":        kwDefault,
	"mbean":          kwMbean,
	"mbeans":         kwMbeans,
	"replace":        kwReplace,
	"unset":          kwUnset,
	"masked":         kwMasked,
	"unmask":         kwUnmask,
	"select_masked":  kwSelectMasked,
	"vector":         kwVector,
	"ann":            kwAnn,
	"ascii":          kwAscii,
	"bigint":         kwBigint,
	"blob":           kwBlob,
	"boolean":        kwBoolean,
	"counter":        kwCounter,
	"date":           kwDate,
	"decimal":        kwDecimal,
	"double":         kwDouble,
	"duration":       kwDuration,
	"float":          kwFloat,
	"inet":           kwInet,
	"int":            kwInt,
	"smallint":       kwSmallint,
	"text":           kwText,
	"time":           kwTime,
	"timestamp":      kwTimestamp,
	"timeuuid":       kwTimeuuid,
	"tinyint":        kwTinyint,
	"uuid":           kwUuid,
	"varchar":        kwVarchar,
	"varint":         kwVarint,
	"ttl":            kwTtl,
	"count":          kwCount,
	"writetime":      kwWritetime,
	"maxwritetime":   kwMaxwritetime,
	"key":            kwKey,
	"cast":           kwCast,
	"json":           kwJson,
	"distinct":       kwDistinct,
	"columnfamily":   kwTable,
	"columnfamilies": kwTables,
	"true":           tokBoolean,
	"false":          tokBoolean,
	"nan":            tokNaN,
	"infinity":       tokInfinity,
}
