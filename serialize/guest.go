package serialize

import (
	"fmt"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wasmbin"
)

// isGuest reports whether a module claims the guest interface.
func isGuest(info *wasmbin.Module) bool {
	return info.Export(guestabi.ExportCall) != nil
}

// isCommand reports whether a module claims to be a WASI command.
func isCommand(info *wasmbin.Module) bool {
	return info.Export(guestabi.ExportStart) != nil
}

// checkCommand reports why a worker could not run the module as a command.
func checkCommand(name string, info *wasmbin.Module) error {
	if err := checkImports(name, info); err != nil {
		return err
	}
	reason := ""
	switch ex := info.Export(guestabi.ExportStart); {
	case ex == nil && isGuest(info):
		reason = "the module is no WASI command; it has functions that are called by name"
	case ex == nil:
		reason = "the module is no WASI command"
	case ex.Func == nil || ex.Func.String() != "() -> ()":
		reason = "is no function of type () -> ()"
	}
	if reason != "" {
		return &ModuleError{Kind: MissingExport, Module: name, Name: guestabi.ExportStart, Reason: reason}
	}
	return checkRest(name, info)
}

// reasonCommand is why a command has no functions.
const reasonCommand = "the module is a WASI command, which is run as one (executor.Command); functions are built as a reactor with the guest SDK (guest/ABI.md)"

// checkImports reports an import that workers do not offer.
func checkImports(name string, info *wasmbin.Module) error {
	for _, im := range info.Imports {
		if reason := refuseImport(im); reason != "" {
			return &ModuleError{Kind: MissingImport, Module: name, Name: im.Module + "." + im.Name, Reason: reason}
		}
	}
	return nil
}

// checkGuest reports why a worker could not run functions of the module.
func checkGuest(name string, info *wasmbin.Module) error {
	if err := checkImports(name, info); err != nil {
		return err
	}
	for _, export := range []string{guestabi.ExportDescribe, guestabi.ExportCall} {
		if reason := refuseExport(info, export); reason != "" {
			return &ModuleError{Kind: MissingExport, Module: name, Name: export, Reason: reason}
		}
	}
	return checkRest(name, info)
}

// checkRest reports what neither functions nor commands may lack, or have.
func checkRest(name string, info *wasmbin.Module) error {
	if ex := info.Export("memory"); ex == nil || ex.Kind != wasmbin.KindMemory {
		return &ModuleError{Kind: MissingExport, Module: name, Name: "memory", Reason: "a guest exports its linear memory"}
	}
	for export, want := range guestabi.OptionalExports {
		if ex := info.Export(export); ex != nil && (ex.Func == nil || ex.Func.String() != want) {
			return &ModuleError{Kind: Invalid, Module: name, Name: export, Reason: "is no function of type " + want}
		}
	}
	if len(info.Features) > 0 {
		return &ModuleError{Kind: Invalid, Module: name, Reason: fmt.Sprintf("needs WebAssembly features beyond 2.0: %v", info.Features)}
	}
	return nil
}

func refuseImport(im wasmbin.Import) string {
	functions, ok := guestabi.Imports[im.Module]
	switch {
	case !ok:
		return fmt.Sprintf("workers offer only %s and %s", guestabi.ImportModule, guestabi.WASI)
	case im.Kind != wasmbin.KindFunc:
		return fmt.Sprintf("workers offer functions, not a %s", im.Kind)
	}
	want, ok := functions[im.Name]
	switch {
	case !ok:
		return "there is no function of that name"
	case im.Func.String() != want:
		return fmt.Sprintf("it has type %s, the module wants %s", want, im.Func)
	}
	return ""
}

func refuseExport(info *wasmbin.Module, name string) string {
	want := guestabi.Exports[name]
	ex := info.Export(name)
	switch {
	case ex == nil && isCommand(info):
		return reasonCommand
	case ex == nil:
		return "the module does not follow the guest interface (guest/ABI.md)"
	case ex.Kind != wasmbin.KindFunc || ex.Func == nil:
		return fmt.Sprintf("is a %s, not a function", ex.Kind)
	case ex.Func.String() != want:
		return fmt.Sprintf("has type %s instead of %s", ex.Func, want)
	}
	return ""
}
