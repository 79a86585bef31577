package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"casemate/node"
)

func (a *app) queueCommand() *cobra.Command {
	c := &cobra.Command{Use: "queue", Short: "Show message queues; send, look, move back, empty"}
	c.AddCommand(&cobra.Command{Use: "list", Short: "Show the queues, how many messages they have, and who gets them", Args: cobra.NoArgs,
		Example: "  casemate queue list", RunE: func(cmd *cobra.Command, _ []string) error {
			var all []node.QueueState
			if err := a.call(cmd.Context(), "queue.list", nil, &all); err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) { queuePage(w, all) })
		}}, a.queueSend(), a.queuePeek(), a.queueRedrive(),
		a.queueActs("purge", "Remove every message of a queue, for good", "removed"), a.queueActs("delete", "Remove a queue that no app declares, and what is in it", "removed, with its messages:"))
	return c
}

func queuePage(w io.Writer, all []node.QueueState) {
	t := newTable("QUEUE", "APP", "VISIBLE", "IN FLIGHT", "DELAYED", "DEAD LETTERS", "FUNCTION", "STATE", "LAST")
	for i := range all {
		q := &all[i]
		row := []string{q.Name, q.App, fmt.Sprint(q.Counts.Visible), fmt.Sprint(q.Counts.InFlight), fmt.Sprint(q.Counts.Delayed), q.DeadLetter}
		if len(q.Functions) == 0 {
			t.add(append(row, "", "", "")...)
		}
		for _, f := range q.Functions {
			t.add(append(row, f.Function, f.State, f.Last)...)
			row = make([]string, len(row))
		}
	}
	t.print(w)
}

func (a *app) queueSend() *cobra.Command {
	var q node.QueueQuestion
	c := &cobra.Command{Use: "send QUEUE BODY", Short: "Send a message", Args: cobra.ExactArgs(2), Example: `  casemate queue send orders_jobs '{"id": 7}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Name, q.Body = args[0], args[1]
			return a.queueDo(cmd, "queue.send", q, func(w io.Writer, d *node.QueueDone) { fmt.Fprintln(w, "sent:", d.ID) })
		}}
	c.Flags().StringVar(&q.Group, "group", "", "message group, of a FIFO queue")
	c.Flags().StringVar(&q.Dedup, "dedup", "", "deduplication id, of a FIFO queue")
	return c
}

func (a *app) queuePeek() *cobra.Command {
	q := node.QueueQuestion{}
	c := &cobra.Command{Use: "peek QUEUE", Short: "Show messages from the front without receiving them", Args: cobra.ExactArgs(1), Example: "  casemate queue peek orders_dead --most 5",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Name = args[0]
			var list []node.QueueMessage
			if err := a.callOn(cmd.Context(), q.Name, "queue.peek", q, &list); err != nil {
				return a.near(cmd.Context(), err, queueNoun, q.Name)
			}
			return a.show(list, func(w io.Writer) {
				t := newTable("SENT", "RECEIVES", "GROUP", "ID", "BODY", "WHY IT IS HERE")
				for i := range list {
					m := &list[i]
					t.add(when(m.Sent), fmt.Sprint(m.Receives), m.Group, m.ID, short(m.Body), m.Reason)
				}
				t.print(w)
			})
		}}
	c.Flags().IntVar(&q.Most, "most", 10, "how many, 1000 at most")
	within(c.Flags(), "most", 1, 1000)
	return c
}

// short is a message's body on one line.
func short(body string) string {
	if len(body) > 80 {
		body = strings.ToValidUTF8(body[:80], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, body)
}

func (a *app) queueRedrive() *cobra.Command {
	var q node.QueueQuestion
	c := &cobra.Command{Use: "redrive QUEUE", Short: "Move the messages of a dead-letter queue back to where they came from", Args: cobra.ExactArgs(1),
		Example: "  casemate queue redrive orders_dead", RunE: func(cmd *cobra.Command, args []string) error {
			q.Name = args[0]
			return a.queueDo(cmd, "queue.redrive", q, func(w io.Writer, d *node.QueueDone) { fmt.Fprintln(w, "moved:", d.Done) })
		}}
	c.Flags().StringVar(&q.To, "to", "", "move them to this queue instead")
	c.Flags().IntVar(&q.Most, "most", 0, "how many at most (default all)")
	within(c.Flags(), "most", 1, 100_000)
	return c
}

func (a *app) queueActs(verb, short, done string) *cobra.Command {
	return &cobra.Command{Use: verb + " QUEUE", Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return a.queueDo(cmd, "queue."+verb, node.QueueQuestion{Name: args[0]}, func(w io.Writer, d *node.QueueDone) { fmt.Fprintln(w, done, d.Done) })
	}}
}

func (a *app) queueDo(cmd *cobra.Command, operation string, q node.QueueQuestion, say func(w io.Writer, d *node.QueueDone)) error {
	var d node.QueueDone
	if err := a.callOn(cmd.Context(), q.Name, operation, q, &d); err != nil {
		return a.near(cmd.Context(), err, queueNoun, q.Name)
	}
	return a.show(d, func(w io.Writer) { say(w, &d) })
}
