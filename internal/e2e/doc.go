// Package e2e holds tests of whole programs that embed Sandpool: what only
// shows when a process of its own is started, forgotten or killed.
package e2e
