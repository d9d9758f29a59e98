package serialize

import "slices"

// A Summary is what a scan of a module shows without running it. Names are the
// module's own and may hold any text: quote them before printing.
type Summary struct {
	Imports  []Symbol
	Exports  []Symbol
	Memory   *Memory  // nil when the module has none
	Features []string // proposals beyond WebAssembly 2.0 that it needs
	Custom   []string // names of its custom sections
	CodeSize int      // bytes of its code section
	Guest    bool     // it has the exports of the guest interface
	Command  bool     // it has the export of a WASI command
}

// A Symbol is one import or export.
type Symbol struct {
	Module string // of an import
	Name   string
	Kind   string // "function", "memory", "table", "global" or "tag"
	Type   string // of a function, such as "(i32, i32) -> (i32)"
}

// A Memory is a linear memory's declared size in pages of 64 KiB.
type Memory struct {
	Min    uint64
	Max    uint64 // when HasMax
	HasMax bool   // the module declares a maximum
}

// Summary returns what the scan learned.
func (m *Module) Summary() Summary {
	s := Summary{
		Features: slices.Clone(m.info.Features),
		Custom:   slices.Clone(m.info.CustomSections),
		CodeSize: m.info.CodeSize,
		Guest:    isGuest(m.info),
		Command:  isCommand(m.info),
	}
	for _, im := range m.info.Imports {
		sym := Symbol{Module: im.Module, Name: im.Name, Kind: im.Kind.String()}
		if im.Func != nil {
			sym.Type = im.Func.String()
		}
		s.Imports = append(s.Imports, sym)
	}
	for _, ex := range m.info.Exports {
		sym := Symbol{Name: ex.Name, Kind: ex.Kind.String()}
		if ex.Func != nil {
			sym.Type = ex.Func.String()
		}
		s.Exports = append(s.Exports, sym)
	}
	if mem := m.info.Memory; mem != nil {
		s.Memory = &Memory{Min: mem.Min, Max: mem.Max, HasMax: mem.HasMax}
	}
	return s
}
