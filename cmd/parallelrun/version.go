package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// version is set by the build (see Makefile); otherwise it comes from the
// module's own information.
var version string

// buildView is the data of `version`.
type buildView struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (v buildView) Text(p *ui.Page) {
	p.Line("%s %s", ui.Program, v.Version)
	if v.Commit != "" {
		p.Line("commit %s%s", v.Commit, map[bool]string{true: ", with changes"}[v.Modified])
	}
	p.Line("%s, %s", v.Go, v.Platform)
}

func build() buildView {
	v := buildView{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the program's version",
		Args:  exactly(),
		RunE:  func(*cobra.Command, []string) error { return a.out.Print(build()) },
	}
}
