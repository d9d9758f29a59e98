package wasmbin

// Limits of a module. They are the ones browsers agreed on, so that a module
// that runs there passes here, with three kinds of exception: what browsers do
// not bound but compilers pay for (nesting, locals of a whole module), what
// they bound below what real toolchains emit (data segments), and what must be
// bounded because the bytes do not (tables, whose size costs nothing to write).
const (
	// MaxModuleSize is the size of a file, in bytes.
	MaxModuleSize = 1 << 30
	// MaxTypes, MaxFunctions, MaxImports, MaxExports and MaxGlobals count
	// entries; imported functions and globals count as functions and globals.
	MaxTypes     = 1_000_000
	MaxFunctions = 1_000_000
	MaxImports   = 1_000_000
	MaxExports   = 1_000_000
	MaxGlobals   = 1_000_000
	// MaxTags counts exception tags, imported ones included.
	MaxTags = 1_000_000
	// MaxDataSegments is ten times what browsers take: Go's linker emits
	// 20 000 to 40 000 for an ordinary program.
	MaxDataSegments = 1_000_000
	// MaxElementSegments and MaxElements count element segments and the
	// entries of one of them.
	MaxElementSegments = 10_000_000
	MaxElements        = 10_000_000
	// MaxTables counts tables, imported ones included.
	MaxTables = 100_000
	// MaxTableElements is the sum of the tables' minimum sizes. Browsers
	// allow as much for each table; the runtime reserves eight bytes an
	// element, for as many tables as the module declares.
	MaxTableElements = 10_000_000
	// MaxMemoryPages is the format's own limit: 4 GiB in pages of 64 KiB.
	MaxMemoryPages = 1 << 16
	// MaxParams and MaxResults are those of one function type.
	MaxParams  = 1_000
	MaxResults = 1_000
	// MaxLocals is the number of locals of one function, without parameters.
	MaxLocals = 50_000
	// MaxModuleLocals is the sum of that over the module. Six bytes can
	// declare 50 000 locals, for which the runtime takes 400 KB, so without it
	// a module of a megabyte could ask for 40 GB.
	MaxModuleLocals = 10_000_000
	// MaxFunctionSize is the size of one function, locals included, in bytes.
	MaxFunctionSize = 7_654_321
	// MaxBranchTargets is the number of targets of one br_table, without the
	// default one.
	MaxBranchTargets = 65_520
	// MaxNesting is how deep blocks of any kind nest in one function. Go wraps
	// a function in a block for every place it can resume at: 570 deep in
	// gofmt, 7 740 in Go's own compiler. Compile time grows with the square;
	// this many take under a second, or two when they are ifs.
	MaxNesting = 10_000
	// MaxLoopNesting counts only the loops among them, which cost the compiler
	// six times as much. Real modules stay below ten.
	MaxLoopNesting = 1_000
	// MaxNameSize is the length of the name of an import, an export, a custom
	// section or the module, in bytes.
	MaxNameSize = 100_000
	// MaxCustomSections counts custom sections.
	MaxCustomSections = 10_000
)
