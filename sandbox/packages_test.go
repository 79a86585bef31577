package sandbox

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
)

// popular are packages that existing functions of Node are written with, at versions that are known to work on Lambda.
var popular = []string{
	"@aws-lambda-powertools/logger@2.34.0", "@aws-lambda-powertools/metrics@2.34.0",
	"@aws-lambda-powertools/batch@2.34.0", "@middy/core@6", "@middy/http-json-body-parser@6", "@middy/http-error-handler@6",
	"@codegenie/serverless-express@4", "express@4",
}

// installed makes a function of a source and of packages from npm, which the folder that CASEMATE_PACKAGES names may hold already.
func (b *bench) installed(dir, name, source string) *casemate.Version {
	b.t.Helper()
	v := b.function("nodejs20.x", strings.TrimSuffix(strings.TrimSuffix(name, ".js"), ".mjs")+".handler", map[string]string{name: source})
	if err := os.CopyFS(b.dirs[v.ID], os.DirFS(dir)); err != nil {
		b.t.Fatal(err)
	}
	err := filepath.WalkDir(b.dirs[v.ID], func(p string, d fs.DirEntry, err error) error { // whatever the umask
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(p, mode)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	v.Env = map[string]string{"POWERTOOLS_SERVICE_NAME": "shop", "POWERTOOLS_METRICS_NAMESPACE": "shop"}
	return v
}

func packagesOfNPM(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("CASEMATE_PACKAGES"); dir != "" {
		return dir
	}
	if os.Getenv("CASEMATE_FULL") == "" {
		t.Skip("asks a package registry; CASEMATE_FULL=1 runs it")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		missing(t, "npm")
	}
	dir := t.TempDir()
	cmd := exec.Command("npm", append([]string{"install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error", "--prefix", dir}, popular...)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("installing: %v\n%s", err, msg)
	}
	return dir
}

// Handlers as the documentation of widely used packages has them, which know nothing of Casemate.
//
// Lambda checklist: 28, 47
func TestHandlersOfPopularPackages(t *testing.T) {
	dir := packagesOfNPM(t)
	b := newBench(t)
	v := b.installed(dir, "index.mjs", powertools)
	res := b.want(v, `{"order":{"id":7}}`, `{"statusCode":200,"body":"7"}`)
	var logged, measured bool
	for _, entry := range b.jsonEntries() {
		if id, _ := entry["function_request_id"].(string); entry["message"] == "order taken" && len(id) == 36 && entry["cold_start"] == true {
			logged = true
		}
		if emf, _ := entry["_aws"].(map[string]any); emf != nil && entry["orders"] == 1. {
			measured = true
		}
	}
	if !logged || !measured {
		t.Errorf("logged %v, measured %v: %s", logged, measured, res.Tail)
	}
	sqs := `{"Records":[{"messageId":"1","body":"{\"ok\":true}","eventSource":"aws:sqs"},{"messageId":"2","body":"{\"ok\":false}","eventSource":"aws:sqs"}]}`
	b.want(b.installed(dir, "batch.mjs", batch), sqs, `{"batchItemFailures":[{"itemIdentifier":"2"}]}`)

	web := `{"version":"2.0","routeKey":"$default","rawPath":"/orders/7","rawQueryString":"full=yes","headers":{"host":"example.com","content-type":"application/json"},
		"requestContext":{"http":{"method":"POST","path":"/orders/7","sourceIp":"192.0.2.1","protocol":"HTTP/1.1"},"stage":"$default"},"body":"{\"n\":1}","isBase64Encoded":false}`
	var answer struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	payload := b.run(b.installed(dir, "web.js", expressApp), web).Payload
	if err := json.Unmarshal(payload, &answer); err != nil || answer.StatusCode != 201 || answer.Body != `{"id":"7","full":"yes","n":1}` || answer.Headers["x-made-by"] != "express" {
		t.Errorf("%v %s", err, payload)
	}
	b.want(b.installed(dir, "middy.mjs", middyStack), web, `{"statusCode":200,"body":"1"}`)
}

const powertools = `import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import middy from '@middy/core';
const logger = new Logger(), metrics = new Metrics();
export const handler = middy(async (event) => {
  logger.info('order taken', { id: event.order.id });
  metrics.addMetric('orders', MetricUnit.Count, 1);
  return { statusCode: 200, body: String(event.order.id) };
}).use(injectLambdaContext(logger)).use(logMetrics(metrics));`

const batch = `import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
const processor = new BatchProcessor(EventType.SQS);
export const handler = async (event, context) => processPartialResponse(event, async (record) => {
  if (!JSON.parse(record.body).ok) throw new Error('refused');
}, processor, { context });`

const expressApp = `const express = require('express');
const serverlessExpress = require('@codegenie/serverless-express');
const app = express();
app.use(express.json());
app.post('/orders/:id', (req, res) => res.status(201).set('x-made-by', 'express').json({ id: req.params.id, full: req.query.full, n: req.body.n }));
exports.handler = serverlessExpress({ app });`

const middyStack = `import middy from '@middy/core';
import jsonBodyParser from '@middy/http-json-body-parser';
import errorHandler from '@middy/http-error-handler';
export const handler = middy().use(jsonBodyParser()).use(errorHandler()).handler(async (event) => ({ statusCode: 200, body: String(event.body.n) }));`
