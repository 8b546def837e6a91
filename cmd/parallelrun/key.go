package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
)

func newKey(a *app) *cobra.Command {
	return newGroup("key", "Keys that the store's secrets are sealed with",
		newKeyInit(a), newKeyList(a), newKeyShow(a), newKeyRotate(a), newKeyWrap(a), newKeyReseal(a), newKeyDestroy(a))
}

// keyView is the data of `key init`: the public half alone.
type keyView struct {
	File      string `json:"file"`
	Recipient string `json:"recipient"`
}

func (v keyView) Text(p *ui.Page) { p.Line("%s", v.Recipient) }

func newKeyInit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [file]",
		Short: "Make an identity and print its public key",
		Long: "Make an identity (an age key pair) in the file that the configuration names under keys.identity,\n" +
			"or in the file given, and print its public key. An existing file is never overwritten.\n" +
			"Keep a copy in a safe place: without it the secrets in the store can't be read.",
		Args: between(0, "file"),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.identityFile(args)
			if err != nil {
				return err
			}
			return a.makeIdentity(path)
		},
	}
}

func (a *app) identityFile(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	c, err := a.loadConfig()
	if err != nil {
		return "", err
	}
	switch id := c.Keys.Identity; {
	case id.IsZero():
		return "", ui.Refusef("add  keys: {identity: \"file:keys/identity.txt\"}  to it, or name a file", "%s names no identity", c.Path)
	case id.File() == "":
		return "", ui.Refusef("name a file: parallelrun key init FILE, then put its content into the variable", "%s takes the identity from %s, not from a file", c.Path, id)
	default:
		return id.File(), nil
	}
}

func (a *app) makeIdentity(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return ui.Refusef("choose a folder that you may write to", "key file: %w", err)
	}
	r, err := seal.NewIdentity(path)
	if err != nil {
		return err
	}
	a.notef("wrote %s; keep a copy in a safe place: without it the store's secrets can't be read", config.ShortPath(path))
	if err := a.out.Print(keyView{File: path, Recipient: r.String()}); err != nil {
		return fmt.Errorf("print the public key: %w", err)
	}
	return nil
}
