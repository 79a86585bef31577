package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/front/admin"
	"casemate/meter/price"
	"casemate/node"
)

// readBook reads a price book from a file.
func readBook(file string) (*price.Book, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--prices", Message: "the price book cannot be opened", Hint: "casemate prices --default > FILE makes one", Err: err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, price.MaxBook+1))
	if err != nil {
		return nil, fmt.Errorf("reading the price book: %w", err)
	}
	return price.Parse(text)
}

func (a *app) pricesCommand() *cobra.Command {
	var standard, text bool
	c := &cobra.Command{Use: "prices", Short: "Show the price book in force", Args: cobra.NoArgs,
		Long:    "Prices are data: `casemate prices --default > prices.yaml`, edit it, and start the node with --prices prices.yaml.\nA record names the book that priced it; books that were in force once are kept for the bill.",
		Example: "  casemate prices\n  casemate prices --default > prices.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []node.BookAnswer
			if standard {
				b, err := price.Default()
				if err != nil {
					return err
				}
				text = !a.json
				all = []node.BookAnswer{{Digest: b.Digest, Currency: b.Currency, InForce: true, Text: b.Text, Lines: b.Lines()}}
			} else if err := a.call(cmd.Context(), "prices", nil, &all); err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) {
				for _, b := range all {
					if b.InForce {
						bookPage(w, &b, text)
					}
				}
			})
		}}
	c.Flags().BoolVar(&standard, "default", false, "print the book that is part of the program, as a file to edit; asks no node")
	c.Flags().BoolVar(&text, "text", false, "print the file itself")
	return c
}

func bookPage(w io.Writer, b *node.BookAnswer, text bool) {
	if text {
		_, _ = io.WriteString(w, printableLines(b.Text))
		return
	}
	t := newTable("ITEM", b.Currency+" EACH")
	for _, l := range b.Lines {
		t.add(l[0], l[1])
	}
	t.print(w)
	fmt.Fprintf(w, "\nbook %s\n", b.Digest)
}

func (a *app) billCommand() *cobra.Command {
	var q node.BillQuestion
	var file string
	var books []string
	var check bool
	c := &cobra.Command{Use: "bill", Short: "Show what a month cost, by function, caller, key, app, role, account, tag or chain", Args: cobra.NoArgs,
		Long: `The bill is the sum of the records of the month (UTC). Each names the price book in force and what it cost; free
quantities and tiers come off the sum. --check has the log exported and reckoned again by other code; --file does the
same offline, with nothing of the node but an export (casemate audit export) and the price books.`,
		Example: "  casemate bill\n  casemate bill --month 2026-05 --by key --json   # amounts in billionths\n  casemate bill --check\n  casemate bill --file log.jsonl --prices prices.yaml --month 2026-05",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return a.billFile(file, books, q.Month)
			}
			if err := oneOf("--by", q.By, price.Bys()...); err != nil {
				return err
			}
			var bill price.Bill
			if err := a.call(cmd.Context(), "bill", q, &bill); err != nil {
				return err
			}
			if check {
				if err := a.billCheck(cmd.Context(), &bill, q.By); err != nil {
					return err
				}
			}
			return a.show(&bill, func(w io.Writer) { billPage(w, &bill, check) })
		}}
	f := c.Flags()
	f.StringVar(&q.Month, "month", "", "2026-05; default this month, so far")
	f.StringVar(&q.By, "by", "function", strings.Join(price.Bys(), ", "))
	f.BoolVar(&check, "check", false, "reckon it again from an export of the log, by other code, and fail where the two differ")
	f.StringVar(&file, "file", "", "reckon an export offline; - for standard input")
	f.StringArrayVar(&books, "prices", nil, "with --file: price book that was in force; may be repeated; default the program's own")
	return c
}

func billPage(w io.Writer, b *price.Bill, checked bool) {
	t := newTable(strings.ToUpper(b.By), "RECORDS", "COST "+b.Currency)
	for _, l := range b.Lines {
		t.add(l.Name, strconv.FormatInt(l.Records, 10), l.Cost.String())
	}
	t.print(w)
	if len(b.Items) > 0 {
		fmt.Fprintln(w)
		t = newTable("ITEM", "QUANTITY", "FREE AND TIERS "+b.Currency)
		for _, i := range b.Items {
			t.add(i.Item, fmt.Sprintf("%.6g", i.Quantity), "-"+i.Saved.String())
		}
		t.print(w)
	}
	fmt.Fprintf(w, "\n%s to %s: %s charged - %s off = %s %s\n", b.From.Format(time.DateOnly), b.Until.AddDate(0, 0, -1).Format(time.DateOnly), b.Charged, b.Saved, b.Total, b.Currency)
	if checked {
		fmt.Fprintf(w, "reckoned again from an export: %s, the same\n", b.Charged)
	}
	if len(b.Wrong) > 0 {
		fmt.Fprintf(w, "records whose cost is not what they used: %s\n", strings.Join(b.Wrong, ", "))
	}
}

// billCheck reckons the month of b again from an export, and asks for b once more where events ran meanwhile.
func (a *app) billCheck(ctx context.Context, b *price.Bill, by string) error {
	var all []node.BookAnswer
	if err := a.call(ctx, "prices", nil, &all); err != nil {
		return err
	}
	texts := map[string]string{}
	for _, x := range all {
		texts[x.Digest] = x.Text
	}
	for range 5 {
		again, err := a.recount(ctx, texts, b)
		if err != nil {
			return err
		}
		if again.Charged == strconv.FormatInt(int64(b.Charged), 10) && len(again.Wrong) == 0 {
			return nil
		}
		if len(again.Wrong) > 0 {
			return differs(again, b.Charged)
		}
		was, month := b.Charged, b.From.Format("2006-01")
		*b = price.Bill{}
		if err := a.call(ctx, "bill", node.BillQuestion{Month: month, By: by}, b); err != nil {
			return err
		}
		if b.Charged == was {
			return differs(again, was)
		}
	}
	return casemate.Errorf(casemate.Unavailable, "check a month that is over, or when less runs", "events ran all the while")
}

func differs(again *price.Recount, charged casemate.Money) error {
	e := casemate.Errorf(casemate.Conflict, "casemate audit verify; then look at these records: "+strings.Join(again.Wrong, ", "), "the bill says %d billionths, the export comes to %s", charged, again.Charged)
	e.Rule = "recount"
	return e
}

func (a *app) recount(ctx context.Context, texts map[string]string, b *price.Bill) (*price.Recount, error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := a.withClient(func(c *admin.Client) error {
			return c.Stream(ctx, "audit.export", nil, func(line []byte) error {
				_, err := fmt.Fprintf(w, "%s\n", line)
				return err
			})
		})
		w.CloseWithError(err)
		done <- err
	}()
	again, err := price.Again(r, texts, b.From, b.Until)
	r.Close()
	if e := <-done; err == nil && !errors.Is(e, io.ErrClosedPipe) {
		err = e
	}
	return again, err
}

// billFile reckons an export offline.
func (a *app) billFile(file string, books []string, month string) error {
	from, until, err := node.Month(month)
	if err != nil {
		return err
	}
	texts := map[string]string{}
	for _, name := range books {
		b, err := readBook(name)
		if err != nil {
			return err
		}
		texts[b.Digest] = b.Text
	}
	if len(books) == 0 {
		b, err := price.Default()
		if err != nil {
			return err
		}
		texts[b.Digest] = b.Text
	}
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "--file", Message: "cannot be opened", Hint: "casemate audit export > FILE makes one", Err: err}
		}
		defer f.Close()
		in = f
	}
	again, err := price.Again(in, texts, from, until)
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Field: "--file", Message: err.Error(), Hint: "casemate prices --text prints a book; name every one that was in force", Err: err}
	}
	if len(again.Wrong) > 0 {
		return casemate.Errorf(casemate.Conflict, "casemate audit verify --file, with a checkpoint kept elsewhere", "records say another cost than they used: %s", strings.Join(again.Wrong, ", "))
	}
	return a.show(again, func(w io.Writer) {
		sum, _ := new(big.Int).SetString(again.Charged, 10)
		fmt.Fprintf(w, "%s charged by %s, each with the right cost\n", casemate.Money(sum.Int64()), count(again.Records, "record"))
	})
}
