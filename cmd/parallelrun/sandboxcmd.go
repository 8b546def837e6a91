package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/internal/ui"
)

// sandboxFlags say what to serve.
type sandboxFlags struct {
	listen string
	realm  string
	state  string
	target string
}

func newSandbox(a *app) *cobra.Command {
	f := sandboxFlags{}
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve a stand-in for Keycloak, to try things out",
		Long: "Serve a strict stand-in for Keycloak's Admin REST API on a local port until it is stopped,\n" +
			"and print its realm and clients. With --target it serves the state of that target of the\n" +
			"configuration; without, a fresh realm in memory, or in the folder that --state names.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveSandbox(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "address to listen on; port 0 chooses one")
	cmd.Flags().StringVar(&f.realm, "realm", "demo", "name of the realm")
	cmd.Flags().StringVar(&f.state, "state", "", "folder to keep the state in (default: in memory)")
	cmd.Flags().StringVar(&f.target, "target", "", "serve this target of the configuration")
	return cmd
}

// sandboxView is the data of `sandbox`: all that a client needs. The secrets
// are those of a server that holds nothing of value.
type sandboxView struct {
	URL    string     `json:"url"`
	Realm  string     `json:"realm"`
	Client clientView `json:"client"`
	Proof  clientView `json:"proof"`
	State  string     `json:"state,omitempty"`
}

// clientView is a client of the sandbox.
type clientView struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

func (v sandboxView) Text(p *ui.Page) {
	state := v.State
	if state == "" {
		state = "in memory"
	}
	p.Fields("url", v.URL, "realm", v.Realm, "client", v.Client.ID, "client secret", v.Client.Secret,
		"proof client", v.Proof.ID, "proof secret", v.Proof.Secret, "state", state)
}

func (a *app) serveSandbox(ctx context.Context, f sandboxFlags) error {
	if f.target != "" {
		t, err := a.sandboxTarget(f.target)
		if err != nil {
			return err
		}
		f.realm, f.state = t.Realm, t.Sandbox.State
	}
	s, err := sandbox.New(sandbox.Options{StateDir: f.state, Realm: sandbox.RealmOptions{Name: f.realm}, TokenLifespan: 5 * time.Minute})
	if err != nil {
		return ui.Refusef("choose another folder, or remove the state to begin anew", "sandbox: %w", err)
	}
	defer s.Close()
	url, err := s.StartAt(ctx, f.listen)
	if err != nil {
		return ui.Refusef("choose another address with --listen", "%w", err)
	}
	r, ok := s.Realm(f.realm)
	if !ok {
		return ui.Refusef("choose another folder with --state", "the state in %s has no realm %q", f.state, f.realm)
	}
	v := sandboxView{URL: url, Realm: r.Name, State: f.state,
		Client: clientView{r.Migrator.ID, r.Migrator.Secret}, Proof: clientView{r.Proof.ID, r.Proof.Secret}}
	if err := a.out.Print(v); err != nil {
		return err
	}
	a.notef("serving; stop with ctrl-c")
	<-ctx.Done()
	return nil
}

func (a *app) sandboxTarget(name string) (config.Target, error) {
	c, err := a.loadConfig()
	if err != nil {
		return config.Target{}, err
	}
	_, t, err := c.Target(name)
	if err == nil && t.Sandbox == nil {
		err = ui.Refusef("choose a target with sandbox: in it", "target %q is a real one", name)
	}
	return t, err
}
