# Runs AWS's SAM transform (samtranslator) over the templates in the JSON list on standard input, and says of each what
# came out: functions, routes, queues that are polled, URLs, what roles may, or whom the transform refuses.
import json
import os
import re
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
import boto3  # noqa: E402,F401
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402


class Managed:
    def load(self):
        return {n: "arn:aws:iam::aws:policy/" + n for n in ("AmazonSQSFullAccess", "AmazonS3ReadOnlyAccess", "AWSLambdaRole")}


def function(uri):
    found = re.search(r"\$\{(\w+)\.Arn\}", json.dumps(uri))
    return found.group(1) if found else "?"


def routes(body, out):
    for path, item in body.get("paths", {}).items():
        for method, operation in item.items():
            integration = operation.get("x-amazon-apigateway-integration", {}) if isinstance(operation, dict) else {}
            if integration.get("type") != "aws_proxy":
                continue
            method = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            key = "$default" if path == "$default" else method + " " + path
            secured = sorted(k for s in operation.get("security", []) for k in s)
            out[key] = function(integration["uri"]) + " " + ",".join(secured)


def summary(t):
    out = {"functions": [], "routes": {}, "polled": [], "urls": {}, "may": {}, "async": {}}
    roles = {}
    for name, r in t["Resources"].items():
        p = r.get("Properties", {})
        if r["Type"] == "AWS::IAM::Role":
            roles[name] = p
        elif r["Type"] in ("AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api"):
            routes(p.get("Body", {}), out["routes"])
        elif r["Type"] == "AWS::Lambda::EventSourceMapping":
            out["polled"].append("%s %s %s" % (p["FunctionName"]["Ref"], p["EventSourceArn"]["Fn::GetAtt"][0], p.get("BatchSize", "")))
        elif r["Type"] == "AWS::Lambda::Url":
            out["urls"][p["TargetFunctionArn"]["Ref"]] = p["AuthType"]
        elif r["Type"] == "AWS::Lambda::EventInvokeConfig":
            out["async"][p["FunctionName"]["Ref"]] = p.get("MaximumRetryAttempts", -1)
    for name, r in t["Resources"].items():
        if r["Type"] != "AWS::Lambda::Function":
            continue
        out["functions"].append(name)
        role = roles.get(r["Properties"]["Role"]["Fn::GetAtt"][0], {})
        actions = []
        for policy in role.get("Policies", []):
            for s in policy["PolicyDocument"]["Statement"]:
                one = s["Action"] if isinstance(s["Action"], list) else [s["Action"]]
                actions += [s["Effect"] + " " + a for a in one]
        for arn in role.get("ManagedPolicyArns", []):
            actions.append("managed " + (arn if isinstance(arn, str) else json.dumps(arn)).split("/")[-1].strip('"}]'))
        out["may"][name] = sorted(set(actions))
    out["functions"].sort()
    out["polled"].sort()
    return out


answers = []
for template in json.load(sys.stdin):
    try:
        answers.append({"made": summary(transform(template, {}, Managed()))})
    except InvalidDocumentException as e:
        answers.append({"refused": e.message + " " + " ".join(c.message for c in e.causes)})
json.dump(answers, sys.stdout)
