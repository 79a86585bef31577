package bundle

import (
	"io"
	"strings"
	"testing"

	"casemate"
)

func TestStackNameIsOneThatAnAppCanHave(t *testing.T) {
	for in, want := range map[string]string{"/x/My_Shop": "my-shop", "/x/9lives": "app-9lives", "/": "app", "/x/-a-": "a", "/x/" + strings.Repeat("a", 80): strings.Repeat("a", 63)} {
		if got := StackName(in, "template.yaml"); got != want {
			t.Errorf("%s: %s, not %s", in, got, want)
		}
	}
	for _, c := range []struct{ dir, file, want string }{{"/x/shop/.aws-sam/build", "template.yaml", "shop"}, {"/x/shop/.serverless", "a.json", "shop"},
		{"/x/cdk.out", "Shop-Web.template.json", "shop-web"}, {"/x/cdk.out", "template.json", "cdk-out"}, {"/", ".template.json", "app"}} {
		if got := StackName(c.dir, c.file); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

func TestNoTemplate(t *testing.T) {
	_, err := PackTemplate(t.TempDir(), "nosuch.yaml", setting(), Options{Template: &Template{File: "nosuch.yaml", Stack: "shop"}}, io.Discard)
	if casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}
