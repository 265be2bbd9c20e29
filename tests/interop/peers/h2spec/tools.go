//go:build tools

// Package tools names the program of which go.mod pins the version.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
