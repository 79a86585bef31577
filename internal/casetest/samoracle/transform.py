# Runs AWS's SAM transform (samtranslator) over the templates in the JSON list on standard input, and says of each what came out:
# functions and their settings, routes, queues that are polled, schedules, URLs, aliases, who may call, what roles may; or whom the
# transform refuses.
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
        return {n: "arn:aws:iam::aws:policy/" + n for n in ("AmazonSQSFullAccess", "AmazonS3ReadOnlyAccess", "AWSLambdaRole", "AmazonDynamoDBReadOnlyAccess")}


def function(uri):
    found = re.search(r"\$\{(\w+?)(\.Arn|Alias[a-z]+)\}", json.dumps(uri))
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


PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "000000000000", "AWS::StackName": "shop"}
SQS = "arn:aws:sqs:us-east-1:000000000000:shop_"


def write_out(value):
    """Evaluates what the drawn templates use of intrinsic functions, with the names that Casemate gives."""
    if isinstance(value, list):
        return [write_out(v) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return PSEUDO.get(value["Ref"], value["Ref"])
    if set(value) == {"Fn::GetAtt"}:
        name, attribute = value["Fn::GetAtt"]
        return SQS + name if attribute == "Arn" else "shop_" + name
    if set(value) == {"Fn::Sub"}:
        text, names = value["Fn::Sub"], dict(PSEUDO)
        if isinstance(text, list):
            names.update({k: write_out(v) for k, v in text[1].items()})
            text = text[0]
        return re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda m: names[m.group(1)], text)
    return {k: write_out(v) for k, v in value.items()}


def many(value):
    return value if isinstance(value, list) else [value]


def statements(role):
    """What a role of the template may, each statement on a line of its own."""
    out = []
    for policy in role.get("Policies", []):
        for s in many(policy["PolicyDocument"]["Statement"]):
            resources = sorted(json.dumps(write_out(r)).strip('"') for r in many(s["Resource"]))
            out.append("%s %s on %s%s" % (s["Effect"], ",".join(sorted(many(s["Action"]))), ",".join(resources), " if" if s.get("Condition") else ""))
    for arn in role.get("ManagedPolicyArns", []):
        out.append("managed " + (arn if isinstance(arn, str) else json.dumps(arn)).split("/")[-1].strip('"}]'))
    return sorted(set(out))


def called(fn):
    """The function that FunctionName leads to: itself, or an alias of it."""
    target = fn.get("Ref") or fn["Fn::GetAtt"][0]
    return re.sub(r"Alias[a-z]+$", "", target)


def polled(p):
    fn = called(p["FunctionName"])
    parts = [fn, p["EventSourceArn"]["Fn::GetAtt"][0]] + [str(p.get(k, "")).lower() for k in ("BatchSize", "MaximumBatchingWindowInSeconds", "Enabled")]
    parts.append(",".join(p.get("FunctionResponseTypes", [])))
    parts.append(str(p.get("ScalingConfig", {}).get("MaximumConcurrency", "")))
    parts += [f["Pattern"] for f in p.get("FilterCriteria", {}).get("Filters", [])]
    return " ".join(parts)


def settings(p):
    out = {k: str(p[k]) for k in ("Handler", "Runtime", "Timeout", "MemorySize", "ReservedConcurrentExecutions") if k in p}
    out["Environment"] = json.dumps(write_out(p.get("Environment", {}).get("Variables", {})), sort_keys=True, separators=(",", ":"))
    if "EphemeralStorage" in p:
        out["Storage"] = str(p["EphemeralStorage"]["Size"])
    return out


def summary(t):
    out = {"functions": [], "routes": {}, "polled": [], "urls": {}, "may": {}, "async": {}, "settings": {}, "scheduled": [], "callers": {}, "aliases": {}, "roles": {}}
    roles = {n: r.get("Properties", {}) for n, r in t["Resources"].items() if r["Type"] == "AWS::IAM::Role"}
    for name, r in t["Resources"].items():
        p = r.get("Properties", {})
        if r["Type"] in ("AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api"):
            routes(p.get("Body", {}), out["routes"])
        elif r["Type"] == "AWS::Lambda::EventSourceMapping":
            out["polled"].append(polled(p))
        elif r["Type"] == "AWS::Lambda::Url":
            target = p["TargetFunctionArn"]
            of = t["Resources"].get(target.get("Ref", ""), {}) if isinstance(target, dict) else {}
            alias = of["Properties"]["Name"] + ":" if of.get("Type") == "AWS::Lambda::Alias" else ""
            out["urls"][called(target)] = alias + p["AuthType"] + (" " + p["InvokeMode"] if "InvokeMode" in p else "")
        elif r["Type"] == "AWS::Lambda::EventInvokeConfig":
            out["async"][called(p["FunctionName"])] = p.get("MaximumRetryAttempts", -1)
        elif r["Type"] == "AWS::Lambda::Alias":
            out["aliases"][called(p["FunctionName"])] = p["Name"]
        elif r["Type"] == "AWS::Lambda::Permission":
            who = p["Principal"]
            if who == "*":
                who += " " + (p.get("FunctionUrlAuthType") or "NONE" if p.get("FunctionUrlAuthType") or p.get("InvokedViaFunctionUrl") else "")
            callers = out["callers"].setdefault(called(p["FunctionName"]), [])
            if who not in callers:
                callers.append(who)
        elif r["Type"] == "AWS::Events::Rule":
            for target in p["Targets"]:
                out["scheduled"].append(" ".join([called(target["Arn"]), p["ScheduleExpression"], str(p.get("State", "")), target.get("Input", "")]))
        elif r["Type"] == "AWS::Scheduler::Schedule":
            zone = p.get("ScheduleExpressionTimezone", "")
            out["scheduled"].append(" ".join([called(p["Target"]["Arn"]), p["ScheduleExpression"], str(p.get("State", "")), p["Target"].get("Input", ""), zone]).strip())
    for name, r in t["Resources"].items():
        if r["Type"] != "AWS::Lambda::Function":
            continue
        out["functions"].append(name)
        out["settings"][name] = settings(r["Properties"])
        role = r["Properties"]["Role"]["Fn::GetAtt"][0]
        out["roles"][name] = "" if role == name + "Role" else role
        out["may"][name] = statements(roles.get(role, {}))
    for key in ("functions", "polled", "scheduled"):
        out[key].sort()
    for callers in out["callers"].values():
        callers.sort()
    return out


answers = []
for template in json.load(sys.stdin):
    try:
        answers.append({"made": summary(transform(template, {}, Managed()))})
    except InvalidDocumentException as e:
        answers.append({"refused": e.message + " " + " ".join(c.message for c in e.causes)})
json.dump(answers, sys.stdout)
