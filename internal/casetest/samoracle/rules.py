"""Answers what AWS's own transform makes of Globals and policy templates: JSON questions on stdin, answers on stdout."""

import datetime
import json
import math
import re
import sys

import yaml
from samtranslator.model.exceptions import ExceptionWithMessage
from samtranslator.plugins.globals.globals import GlobalProperties, Globals
from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor
from samtranslator.yaml_helper import yaml_parse

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}


def write_out(value):
    """Evaluates the Fn::Sub of a statement with the pseudo parameters and the literal variables beside it."""
    if isinstance(value, list):
        return [write_out(v) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Sub"}:
        text, names = value["Fn::Sub"], dict(PSEUDO)
        if isinstance(text, list):
            names.update(text[1])
            text = text[0]
        return re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda m: names[m.group(1)], text)
    return {k: write_out(v) for k, v in value.items()}


def plain(value):
    """Gives what was read as JSON can say it: keys are texts, dates are written as dates."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return value


def read(text):
    try:
        return plain(yaml_parse(text))
    except yaml.YAMLError as e:
        return {"error": str(e)}


def main():
    questions = json.load(sys.stdin)
    merges = [GlobalProperties(m["global"]).merge(m["own"]) for m in questions["merges"]]
    templates = PolicyTemplatesProcessor(PolicyTemplatesProcessor.get_default_policy_templates_json())
    policies = {}
    for name, template in PolicyTemplatesProcessor.get_default_policy_templates_json()["Templates"].items():
        parameters = {p: "my-" + p.lower() for p in template["Parameters"]}
        policies[name] = {"parameters": parameters, "document": write_out(templates.convert(name, parameters))}
    refused = []
    for section in questions["globals"]:
        try:
            Globals({"Globals": section})
            refused.append("")
        except ExceptionWithMessage as e:
            refused.append(e.message)
    texts = [read(text) for text in questions["templates"]]
    json.dump({"read": texts, "merges": merges, "policies": policies, "refused": refused, "properties": Globals.supported_properties}, sys.stdout)


main()
