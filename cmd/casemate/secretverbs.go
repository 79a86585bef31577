package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
	"casemate/secret"
	"casemate/secret/kek"
)

func (a *app) secretCommand() *cobra.Command {
	c := &cobra.Command{Use: "secret", Short: "Keep secrets and parameters, see who read them, rotate their keys",
		Long: `Secrets and parameters are sealed with a data key before they are stored; the data keys are sealed with the
key-encryption key. Functions read them with any AWS SDK (Secrets Manager, Parameter Store) or at localhost:2773, when
their role has the grant: "read secret/NAME", "read parameter/NAME". Operators keep secrets and cannot read them: reading
takes a key of a role that has the grant. Every reading leaves a record, with the version and never the value.

Verbs take a secret's name; with --parameter the name of a parameter, as /app/db/url.`}
	for _, sub := range []*cobra.Command{a.secretSet(), a.secretGet(), a.secretList(), a.secretVersions(), a.secretWhoRead(), a.secretDelete(), a.secretRestore(),
		a.secretRotate(), a.secretKeys(), secretKeygen(a)} {
		c.AddCommand(sub)
	}
	return c
}

// secretFlags are what several verbs share.
type secretFlags struct {
	parameter bool
}

func (f *secretFlags) add(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&f.parameter, "parameter", false, "the name is a parameter's")
	return c
}

// nameAlone refuses a value as an argument: it stood in the list of processes, and stands in the shell's history.
func nameAlone(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return casemate.Errorf(casemate.Invalid, "casemate secret set NAME < FILE; if that was the value, take it out of the shell's history", "a value is read from standard input or --file, never from an argument")
	}
	return cobra.ExactArgs(1)(cmd, args)
}

func (a *app) secretSet() *cobra.Command {
	var f secretFlags
	var file, description, kind string
	var exact bool
	c := &cobra.Command{Use: "set NAME", Short: "Store a value: a new secret, or a new version that becomes the current one", Args: nameAlone,
		Long: `Reads the value from standard input, or from --file; never from an argument, where other users and the shell's history
would see it. One line break at the end of standard input is left out (--exact keeps it). A value that is not UTF-8 is
stored as binary. The version before stays readable at stage AWSPREVIOUS.`,
		Example: "  casemate secret set db/password < password.txt\n  openssl rand -base64 32 | casemate secret set session-key\n  casemate secret set tls-key --file site.key\n  casemate secret set /app/db/url --parameter --type String < url.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.secretValue(file, exact)
			if err != nil {
				return err
			}
			defer clear(value)
			if f.parameter {
				return a.setParameter(cmd, args[0], kind, description, value)
			}
			return a.setSecret(cmd, args[0], description, value)
		}}
	c.Flags().StringVar(&file, "file", "", "take the value from this file, byte for byte")
	c.Flags().BoolVar(&exact, "exact", false, "keep a line break at the end of standard input")
	c.Flags().StringVar(&description, "description", "", "what it is for; not secret")
	c.Flags().StringVar(&kind, "type", "", "of a parameter: SecureString (default), String or StringList")
	return f.add(c)
}

// maxSecret is the largest value that the services take, and a byte more.
const maxSecret = 65536 + 1

func (a *app) secretValue(file string, exact bool) ([]byte, error) {
	in, from := a.in, "standard input"
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--file", Message: "cannot be opened", Hint: "name a file with the value", Err: err}
		}
		defer f.Close()
		in, from = f, "the file"
	} else if f, ok := a.in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(a.errs, "the value, then Ctrl-D (it is shown as you type; pipe it in to avoid that):")
		}
	}
	value, err := io.ReadAll(io.LimitReader(in, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if file == "" && !exact {
		if n := len(value); n > 0 && value[n-1] == '\n' {
			value = value[:n-1]
		}
	}
	if len(value) == 0 {
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "there is no value in " + from, Hint: "casemate secret set NAME < FILE"}
	}
	return value, nil
}

// madeVersion is what the service says of a value it stored.
type madeVersion struct {
	ARN       string `json:"ARN,omitempty"`
	VersionID string `json:"VersionId,omitempty"`
	Version   int    `json:"Version,omitempty"`
}

func (a *app) setSecret(cmd *cobra.Command, name, description string, value []byte) error {
	in := map[string]any{"ClientRequestToken": casemate.NewID()}
	if utf8.Valid(value) {
		in["SecretString"] = string(value)
	} else {
		in["SecretBinary"] = value
	}
	if description != "" {
		in["Description"] = description
	}
	in["SecretId"] = name
	var made madeVersion
	err := a.call(cmd.Context(), "secretsmanager.UpdateSecret", in, &made)
	verb := "new version"
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		delete(in, "SecretId")
		in["Name"], verb = name, "new secret"
		err = a.call(cmd.Context(), "secretsmanager.CreateSecret", in, &made)
	}
	if err != nil {
		return err
	}
	return a.show(made, func(w io.Writer) { fmt.Fprintf(w, "%s %s, version %s\n", verb, printable(name), made.VersionID) })
}

func (a *app) setParameter(cmd *cobra.Command, name, kind, description string, value []byte) error {
	if !utf8.Valid(value) {
		return &casemate.Error{Code: casemate.Invalid, Message: "a parameter is text", Hint: "store it as a secret, without --parameter"}
	}
	in := map[string]any{"Name": name, "Value": string(value), "Overwrite": true}
	if kind != "" {
		in["Type"] = kind
	}
	if description != "" {
		in["Description"] = description
	}
	var made madeVersion
	err := a.call(cmd.Context(), "ssm.PutParameter", in, &made)
	if e := casemate.AsError(err); err != nil && kind == "" && e.Code == casemate.Invalid && strings.Contains(e.Message, "type is required") {
		in["Type"] = "SecureString"
		err = a.call(cmd.Context(), "ssm.PutParameter", in, &made)
	}
	if err != nil {
		return err
	}
	return a.show(made, func(w io.Writer) { fmt.Fprintf(w, "parameter %s, version %d\n", printable(name), made.Version) })
}

func (a *app) secretGet() *cobra.Command {
	var f secretFlags
	var reveal bool
	var stage, version, out string
	c := &cobra.Command{Use: "get NAME", Short: "Show what is known about a secret; with --reveal, print its value", Args: cobra.ExactArgs(1),
		Long: `Without --reveal it shows versions, stages and dates. With --reveal it prints the value as it is, and nothing else, and
the reading is recorded. Operators may not: give a role the grant, make a key for it, and read with --key-file.`,
		Example: "  casemate secret get db/password\n  casemate keys create --role vault --out vault.key && casemate secret get db/password --reveal --key-file vault.key",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !reveal {
				return a.describeSecret(cmd, args[0], f.parameter)
			}
			value, err := a.revealSecret(cmd, args[0], stage, version, f.parameter)
			if e := casemate.AsError(err); err != nil && e.Code == casemate.Forbidden && a.keyFile == "" {
				refused := *e
				refused.Hint = fmt.Sprintf("operators keep secrets and do not read them: declare a role with the grant %q, casemate keys create --role ROLE --out FILE, and give --key-file FILE",
					"read "+map[bool]string{true: "parameter", false: "secret"}[f.parameter]+"/"+strings.TrimPrefix(args[0], "/"))
				return &refused
			}
			if err != nil {
				return err
			}
			defer clear(value)
			if out != "" {
				if err := os.WriteFile(out, value, 0o600); err != nil {
					return fmt.Errorf("writing the value: %w", err)
				}
				return nil
			}
			_, err = a.out.Write(forTerminal(a.out, value))
			return err
		}}
	c.Flags().BoolVar(&reveal, "reveal", false, "print the value; it is recorded who did")
	c.Flags().StringVar(&stage, "stage", "", "of the version with this stage or label: AWSPREVIOUS, say")
	c.Flags().StringVar(&version, "version", "", "of the version with this id or number")
	c.Flags().StringVarP(&out, "out", "o", "", "write the value to this file (mode 0600) instead of printing it")
	return f.add(c)
}

func (a *app) revealSecret(cmd *cobra.Command, name, stage, version string, parameter bool) ([]byte, error) {
	if parameter {
		var got struct{ Parameter struct{ Value string } }
		if sel := or(version, stage); sel != "" {
			name += ":" + sel
		}
		err := a.call(cmd.Context(), "ssm.GetParameter", map[string]any{"Name": name, "WithDecryption": true}, &got)
		return []byte(got.Parameter.Value), err
	}
	in := map[string]any{"SecretId": name}
	if stage != "" {
		in["VersionStage"] = stage
	}
	if version != "" {
		in["VersionId"] = version
	}
	var got struct {
		SecretString *string
		SecretBinary []byte
	}
	if err := a.call(cmd.Context(), "secretsmanager.GetSecretValue", in, &got); err != nil {
		return nil, err
	}
	if got.SecretString != nil {
		return []byte(*got.SecretString), nil
	}
	return got.SecretBinary, nil
}

// epoch is a time as the services write it.
type epoch float64

func (e epoch) when() string {
	if e == 0 {
		return "-"
	}
	return when(time.UnixMilli(int64(e * 1000)))
}

// listedSecret is a secret in a list, or described.
type listedSecret struct {
	Name             string
	Description      string              `json:",omitempty"`
	CreatedDate      epoch               `json:",omitempty"`
	LastChangedDate  epoch               `json:",omitempty"`
	LastAccessedDate epoch               `json:",omitempty"`
	DeletedDate      epoch               `json:",omitempty"`
	Stages           map[string][]string `json:"VersionIdsToStages,omitempty"`
}

// listedParameter is a parameter in a list.
type listedParameter struct {
	Name             string
	Type             string
	Version          int
	Description      string `json:",omitempty"`
	LastModifiedDate epoch
	LastModifiedUser string `json:",omitempty"`
}

func (a *app) describeSecret(cmd *cobra.Command, name string, parameter bool) error {
	if parameter {
		var got struct{ Parameters []listedParameter }
		if err := a.call(cmd.Context(), "ssm.DescribeParameters", map[string]any{"ParameterFilters": []any{map[string]any{"Key": "Name", "Values": []string{name}}}}, &got); err != nil {
			return err
		}
		if len(got.Parameters) == 0 {
			return casemate.Errorf(casemate.NotFound, "casemate secret list --parameter", "there is no parameter of this name")
		}
		return a.show(got.Parameters[0], func(w io.Writer) { parameterTable(w, got.Parameters) })
	}
	var s listedSecret
	if err := a.call(cmd.Context(), "secretsmanager.DescribeSecret", map[string]any{"SecretId": name}, &s); err != nil {
		return err
	}
	return a.show(s, func(w io.Writer) {
		secretTable(w, []listedSecret{s})
		fmt.Fprintln(a.errs, "the value stays hidden; --reveal prints it and is recorded")
	})
}

func (a *app) secretList() *cobra.Command {
	var f secretFlags
	c := &cobra.Command{Use: "list", Short: "List secrets, never their values", Args: cobra.NoArgs,
		Example: "  casemate secret list\n  casemate secret list --parameter",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.parameter {
				all := []listedParameter{}
				err := a.pages(cmd, "ssm.DescribeParameters", map[string]any{}, func(page []byte) error {
					var p struct{ Parameters []listedParameter }
					err := json.Unmarshal(page, &p)
					all = append(all, p.Parameters...)
					return err
				})
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) { parameterTable(w, all) })
			}
			all := []listedSecret{}
			err := a.pages(cmd, "secretsmanager.ListSecrets", map[string]any{"IncludePlannedDeletion": true}, func(page []byte) error {
				var p struct{ SecretList []listedSecret }
				err := json.Unmarshal(page, &p)
				all = append(all, p.SecretList...)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) { secretTable(w, all) })
		}}
	return f.add(c)
}

// pages asks for every page of a list.
func (a *app) pages(cmd *cobra.Command, builtin string, in map[string]any, take func(page []byte) error) error {
	for {
		var page json.RawMessage
		if err := a.call(cmd.Context(), builtin, in, &page); err != nil {
			return err
		}
		var next struct{ NextToken string }
		if err := json.Unmarshal(page, &next); err != nil {
			return fmt.Errorf("reading the list: %w", err)
		}
		if err := take(page); err != nil {
			return fmt.Errorf("reading the list: %w", err)
		}
		if next.NextToken == "" {
			return nil
		}
		in["NextToken"] = next.NextToken
	}
}

func secretTable(w io.Writer, all []listedSecret) {
	t := newTable("NAME", "CHANGED", "LAST READ", "STATE", "DESCRIPTION")
	for i := range all {
		s, state, day := &all[i], "live", "-"
		if s.DeletedDate != 0 {
			state = "deleted " + s.DeletedDate.when()
		}
		if s.LastAccessedDate != 0 {
			day = time.UnixMilli(int64(s.LastAccessedDate * 1000)).UTC().Format(time.DateOnly)
		}
		t.add(s.Name, s.LastChangedDate.when(), day, state, or(s.Description, "-"))
	}
	t.print(w)
}

func parameterTable(w io.Writer, all []listedParameter) {
	t := newTable("NAME", "TYPE", "VERSION", "CHANGED", "BY", "DESCRIPTION")
	for i := range all {
		p := &all[i]
		t.add(p.Name, p.Type, fmt.Sprint(p.Version), p.LastModifiedDate.when(), or(p.LastModifiedUser, "-"), or(p.Description, "-"))
	}
	t.print(w)
}

func (a *app) secretVersions() *cobra.Command {
	return &cobra.Command{Use: "versions NAME", Short: "List a secret's versions and their stages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var got struct {
				Versions []struct {
					VersionID     string `json:"VersionId"`
					VersionStages []string
					CreatedDate   epoch
				}
			}
			if err := a.call(cmd.Context(), "secretsmanager.ListSecretVersionIds", map[string]any{"SecretId": args[0], "IncludeDeprecated": true}, &got); err != nil {
				return err
			}
			return a.show(got.Versions, func(w io.Writer) {
				t := newTable("VERSION", "CREATED", "STAGES")
				for _, v := range got.Versions {
					t.add(v.VersionID, v.CreatedDate.when(), or(strings.Join(v.VersionStages, " "), "-"))
				}
				t.print(w)
			})
		}}
}

func (a *app) secretWhoRead() *cobra.Command {
	var f secretFlags
	q := node.ReadersQuestion{}
	c := &cobra.Command{Use: "who-read NAME", Short: "List who read a secret or was refused: when, which version", Args: cobra.ExactArgs(1),
		Long:    "Looks through the record, newest first. RUN is the record of the run that read, if it was a function.",
		Example: "  casemate secret who-read db/password\n  casemate secret who-read /app/db/url --parameter --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Name, q.Parameter = args[0], f.parameter
			var all []node.Reading
			if err := a.call(cmd.Context(), "secret.readers", q, &all); err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "nobody read it, and nobody was refused")
					return
				}
				t := newTable("TIME", "WHO", "ROLE", "VERDICT", "WHAT", "RECORD", "RUN")
				for _, r := range all {
					t.add(when(r.At), r.Principal, or(r.Role, "-"), r.Verdict.String(), r.What, r.Record, or(r.Parent, "-"))
				}
				t.print(w)
			})
		}}
	c.Flags().IntVarP(&q.Limit, "limit", "n", 50, "at most so many")
	within(c.Flags(), "limit", 1, 10_000)
	return f.add(c)
}

func (a *app) secretDelete() *cobra.Command {
	var f secretFlags
	var days int
	var now bool
	c := &cobra.Command{Use: "delete NAME", Short: "Delete a secret; for some days it can be restored", Args: cobra.ExactArgs(1),
		Long:    "A deleted secret cannot be read any more and can be restored until its days are over. A parameter goes at once.",
		Example: "  casemate secret delete db/password --days 7\n  casemate secret restore db/password",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.parameter {
				if err := a.call(cmd.Context(), "ssm.DeleteParameter", map[string]any{"Name": args[0]}, nil); err != nil {
					return err
				}
				return a.show(struct{ Name string }{args[0]}, func(w io.Writer) { fmt.Fprintf(w, "deleted %s\n", printable(args[0])) })
			}
			in := map[string]any{"SecretId": args[0]}
			if now {
				in["ForceDeleteWithoutRecovery"] = true
			} else {
				in["RecoveryWindowInDays"] = days
			}
			var got struct{ DeletionDate epoch }
			if err := a.call(cmd.Context(), "secretsmanager.DeleteSecret", in, &got); err != nil {
				return err
			}
			return a.show(got, func(w io.Writer) {
				if now {
					fmt.Fprintf(w, "deleted %s\n", printable(args[0]))
				} else {
					fmt.Fprintf(w, "deleted %s; until %s: casemate secret restore %s\n", printable(args[0]), got.DeletionDate.when(), printable(args[0]))
				}
			})
		}}
	c.Flags().IntVar(&days, "days", 30, "days in which it can be restored: 7 to 30")
	within(c.Flags(), "days", 7, 30)
	c.Flags().BoolVar(&now, "now", false, "for good, at once")
	c.MarkFlagsMutuallyExclusive("days", "now")
	return f.add(c)
}

func (a *app) secretRestore() *cobra.Command {
	return &cobra.Command{Use: "restore NAME", Short: "Take back the deletion of a secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.call(cmd.Context(), "secretsmanager.RestoreSecret", map[string]any{"SecretId": args[0]}, nil); err != nil {
				return err
			}
			return a.show(struct{ Name string }{args[0]}, func(w io.Writer) { fmt.Fprintf(w, "restored %s\n", printable(args[0])) })
		}}
}

func (a *app) secretRotate() *cobra.Command {
	var q node.Rotation
	const own = "own"
	c := &cobra.Command{Use: "rotate", Short: "Put new keys in force while secrets stay readable", Args: cobra.MaximumNArgs(1),
		Long: `--data-key makes a new data key: what is written from now on is sealed with it, what is there is sealed anew in the
background, also after a restart, and then the old key goes.
--key-encryption-key wraps the data keys anew: alone it renews the key that the node made in its own folder; with
file:/path it takes the key of that file, on the node's machine, and the node's own file goes. From then on the node is
started with --secret-key file:/path. The value of a secret is renewed with casemate secret set.`,
		Example: "  casemate secret rotate --data-key\n  casemate secret keygen /secure/kek.json && casemate secret rotate --key-encryption-key file:/secure/kek.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Master = cmd.Flags().Changed("key-encryption-key")
			if q.Handle == own {
				q.Handle = strings.Join(args, "") // a handle behind a space
			} else if len(args) > 0 {
				return &casemate.Error{Code: casemate.Invalid, Message: "rotate takes no name: it renews keys", Hint: "casemate secret set NAME renews a value"}
			}
			var st secret.Status
			if err := a.call(cmd.Context(), "secret.rotate", q, &st); err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) { keyStatus(w, &st) })
		}}
	c.Flags().BoolVar(&q.Data, "data-key", false, "make a new data key")
	c.Flags().StringVar(&q.Handle, "key-encryption-key", "", "wrap the data keys with a new key: the node's own, or file:/path")
	c.Flags().Lookup("key-encryption-key").NoOptDefVal = own
	return c
}

func (a *app) secretKeys() *cobra.Command {
	return &cobra.Command{Use: "keys", Short: "Show which keys are in force, never the keys themselves", Args: cobra.NoArgs,
		Example: "  casemate secret keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var st secret.Status
			if err := a.call(cmd.Context(), "secret.keys", nil, &st); err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) { keyStatus(w, &st) })
		}}
}

func keyStatus(w io.Writer, st *secret.Status) {
	from := st.MasterFrom
	if from == kek.Own {
		from = "the node's own folder"
	}
	fmt.Fprintf(w, "key-encryption key  %s from %s\n", st.Master, printable(from))
	if st.Data == "" {
		fmt.Fprintln(w, "data key            none yet: nothing is stored")
		return
	}
	fmt.Fprintf(w, "data key            %s since %s\n", st.Data, when(st.Since))
	if st.Retiring > 0 {
		fmt.Fprintf(w, "                    %s going: what it sealed is being sealed anew\n", count(int64(st.Retiring), "older key"))
	}
}

func secretKeygen(a *app) *cobra.Command {
	return &cobra.Command{Use: "keygen FILE", Short: "Make a key-encryption key in a new file that only you read", Args: cobra.ExactArgs(1),
		Long:    "Needs no node. Keep the file apart from the node's folder and its backups: whoever has both reads every secret.",
		Example: "  casemate secret keygen /secure/kek.json && casemate up --secret-key file:/secure/kek.json",
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			name, err := kek.Generate(path)
			if err != nil {
				return &casemate.Error{Code: casemate.Invalid, Message: err.Error(), Hint: "name a file that is not there yet", Err: err}
			}
			return a.show(struct {
				Key    string `json:"key"`
				Handle string `json:"handle"`
			}{name, "file:" + path}, func(w io.Writer) { fmt.Fprintf(w, "key %s: --secret-key file:%s\n", name, path) })
		}}
}
