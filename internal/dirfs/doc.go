// Package dirfs gives guests directories of the host, by the file system interface of
// the engine. No path leaves a directory: whatever symbolic links and ".." say, and
// whoever changes them meanwhile, os.Root resolves them one step at a time and refuses
// what is outside.
//
// A guest makes no links, hard or symbolic: a program of the host could follow them
// later. Of what is in a directory it opens files and directories only; devices, pipes and
// sockets are refused.
package dirfs
