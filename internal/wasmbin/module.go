package wasmbin

import (
	"fmt"
	"slices"
)

// A Module is what [Scan] learned. It does not refer to the scanned bytes.
type Module struct {
	// Name is the module's own name, from the name section; often empty.
	Name string
	// Types are the function types. Imports and exports point into it.
	Types   []FuncType
	Imports []Import
	Exports []Export
	// Memory is the module's memory, its own or imported; nil for none.
	Memory *Memory
	// Tables are the module's tables, the imported ones first.
	Tables []Table
	// Functions counts the functions the module defines, Globals and Tags all
	// globals and tags, imported ones included.
	Functions int
	Globals   int
	Tags      int
	// HasStart reports a start section (not an export named _start); Start is
	// the function index in it.
	HasStart bool
	Start    uint32
	// DataSegments and ElementSegments count segments of any mode.
	DataSegments    int
	ElementSegments int
	// CodeSize is the size of the code section in bytes.
	CodeSize int
	// CustomSections are the names of the custom sections, in file order.
	CustomSections []string
	// Features are the proposals beyond WebAssembly 2.0 that the module needs,
	// sorted: some of [FeatureThreads] and the like.
	Features []string
}

// Export returns the export of that name, or nil. It looks at each one.
func (m *Module) Export(name string) *Export {
	i := slices.IndexFunc(m.Exports, func(e Export) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Exports[i]
}

// An ExternKind says what is imported or exported.
type ExternKind byte

// The kinds of imports and exports, as the format numbers them.
const (
	KindFunc ExternKind = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

// String returns the kind's keyword in the text format, except "function".
func (k ExternKind) String() string {
	switch k {
	case KindFunc:
		return "function"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	case KindTag:
		return "tag"
	default:
		return fmt.Sprintf("kind %#x", byte(k))
	}
}

// An Import is something the module needs from outside.
type Import struct {
	// Module and Name are any valid UTF-8: quote them before printing.
	Module string
	Name   string
	Kind   ExternKind
	// Func is the signature of a function; nil for other kinds.
	Func *FuncType
}

// An Export is something the module offers.
type Export struct {
	// Name is any valid UTF-8, up to [MaxNameSize]: quote it before printing.
	Name string
	Kind ExternKind
	// Index counts things of that kind, the imported ones first.
	Index uint32
	// Func is the signature of a function; nil for other kinds.
	Func *FuncType
}

// A Memory is the linear memory's type. Sizes are in pages of 64 KiB.
type Memory struct {
	Min      uint64
	Max      uint64 // meaningful when HasMax
	HasMax   bool
	Imported bool
	Shared   bool
}

// A Table is a table's type. Sizes are in elements.
type Table struct {
	Type     ValType
	Min      uint64
	Max      uint64 // meaningful when HasMax
	HasMax   bool
	Imported bool
}

// Names of proposals in [Module.Features].
const (
	FeatureExceptions    = "exception-handling"
	FeatureExtendedConst = "extended-const"
	FeatureTailCall      = "tail-call"
	FeatureThreads       = "threads"
	FeatureTypedRefs     = "typed-function-references"
)

// A featureSet is a set of proposals.
type featureSet uint8

// The proposals, one bit each.
const (
	needExceptions featureSet = 1 << iota
	needExtendedConst
	needTailCall
	needThreads
	needTypedRefs
)

// names returns the set as sorted names.
func (f featureSet) names() []string {
	var names []string
	for i, name := range []string{
		FeatureExceptions, FeatureExtendedConst, FeatureTailCall, FeatureThreads, FeatureTypedRefs,
	} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
