package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
)

func newKeyRotate(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Begin a new key epoch: new secrets are sealed with a new key",
		Long: "Begin a new key epoch, wrapped for the recipients that the configuration names under keys.recipients,\n" +
			"or for its identity. Who opens the store from then on seals secrets with the new key; runs that go on\n" +
			"end in the epoch that they began in. What is sealed already stays as it is: `key reseal` brings it\n" +
			"into the new epoch, then `key destroy` ends the old one. The long-lived key stays, and row digests with it.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keyRotate(cmd.Context(), apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "make it; without it nothing is changed")
	return cmd
}

// keyRotateView is the data of `key rotate`.
type keyRotateView struct {
	Epoch      uint32   `json:"epoch"` // the new one; of a plan, that which seals now
	Recipients []string `json:"recipients"`
	Applied    bool     `json:"applied"`
}

func (v keyRotateView) Text(p *ui.Page) {
	to := strings.Join(v.Recipients, ", ")
	if v.Applied {
		p.Line("new secrets are sealed in key epoch %d, wrapped for %s", v.Epoch, to)
		p.Line("bring what is sealed already into it with: parallelrun key reseal")
		return
	}
	p.Line("would begin a new key epoch after %d, wrapped for %s", v.Epoch, to)
	p.Line("nothing was changed; `parallelrun key rotate --apply` does it")
}

func (a *app) keyRotate(ctx context.Context, apply bool) error {
	k, err := a.openKeys(ctx)
	if err != nil {
		return err
	}
	v := keyRotateView{Epoch: k.Store.Keyring().Epoch(), Recipients: recipientTexts(k.Recipients), Applied: apply}
	if apply {
		if v.Epoch, err = k.Rotate(ctx); err != nil {
			return err
		}
	}
	return a.out.Print(v)
}

func newKeyWrap(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "wrap",
		Short: "Wrap the store's keys for the recipients that the configuration names",
		Long: "Wrap the store's keys, those of all epochs and the long-lived one, for just the recipients that the\n" +
			"configuration names under keys.recipients. To add somebody, add a public key there; to take somebody\n" +
			"out, take it away. Who calls this has to be one of them. Who could open a key before may have kept it:\n" +
			"to shut somebody out for good, rotate, reseal and destroy the old epoch as well.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keyWrap(cmd.Context(), apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "wrap them; without it nothing is changed")
	return cmd
}

// keyWrapView is the data of `key wrap`.
type keyWrapView struct {
	Recipients []string         `json:"recipients"`
	Keys       []wrappedKeyView `json:"keys"` // that are wrapped for others
	Applied    bool             `json:"applied"`
}

// wrappedKeyView is one key before it is wrapped anew.
type wrappedKeyView struct {
	Epoch      uint32   `json:"epoch,omitempty"` // zero: the long-lived key
	Recipients []string `json:"recipients"`
}

func (v keyWrapView) Text(p *ui.Page) {
	to := strings.Join(v.Recipients, ", ")
	if len(v.Keys) == 0 {
		p.Line("all keys are wrapped for just %s: there is nothing to do", to)
		return
	}
	t := ui.NewTable("KEY", "WRAPPED FOR")
	for _, k := range v.Keys {
		t.Row(keyName(k.Epoch), shortRecipients(k.Recipients))
	}
	if v.Applied {
		names := make([]string, len(v.Keys))
		for i, k := range v.Keys {
			names[i] = keyName(k.Epoch)
		}
		p.Line("%s: wrapped for just %s now", strings.Join(names, ", "), to)
		return
	}
	p.Table(t)
	p.Blank()
	p.Line("these keys would be wrapped for just %s", to)
	p.Line("nothing was changed; `parallelrun key wrap --apply` does it")
}

// keyName names a key; zero is the long-lived one.
func keyName(epoch uint32) string {
	if epoch == 0 {
		return "long-lived key"
	}
	return fmt.Sprintf("key epoch %d", epoch)
}

func (a *app) keyWrap(ctx context.Context, apply bool) error {
	k, err := a.openKeys(ctx)
	if err != nil {
		return err
	}
	keys, err := k.Store.Rewrapping(ctx, k.Recipients...)
	if err != nil {
		return err
	}
	v := keyWrapView{Recipients: recipientTexts(k.Recipients), Keys: []wrappedKeyView{}, Applied: apply}
	for _, w := range keys {
		v.Keys = append(v.Keys, wrappedKeyView{w.Epoch, append([]string{}, w.Recipients...)})
		if !apply {
			continue
		}
		if err := k.Rewrap(ctx, w); err != nil {
			return err
		}
	}
	return a.out.Print(v)
}
