module github.com/sandpool/sandpool/examples

go 1.26.0

require github.com/sandpool/sandpool v0.0.0

replace github.com/sandpool/sandpool => ..
