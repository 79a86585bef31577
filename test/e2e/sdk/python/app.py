"""The function of ../go with boto3."""
import json
import os
import re

import boto3
from botocore.exceptions import ClientError


def client(service):
    if tuple(map(int, boto3.__version__.split(".")[:2])) >= (1, 28):
        return boto3.client(service)
    return boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"])  # older ones do not know the variable


AT_INIT = client("sts").get_caller_identity()["Arn"] if "CALL_AT_INIT" in os.environ else None


def make(service, operation, input=None, payload=None):
    if service == "init":
        return {"output": AT_INIT}
    arguments = dict(input or {})
    if payload is not None:
        arguments["Payload"] = json.dumps(payload)
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    try:
        out = getattr(client(service), method)(**arguments)
    except ClientError as e:
        meta = e.response["ResponseMetadata"]
        return {"code": e.response["Error"]["Code"], "message": e.response["Error"].get("Message", ""),
                "status": meta["HTTPStatusCode"], "attempts": meta["RetryAttempts"] + 1}
    out.pop("ResponseMetadata")
    result = {}
    if "Payload" in out:
        body = out.pop("Payload").read()
        if body:
            result["payload"] = json.loads(body)
    return {"output": json.loads(json.dumps(out, default=str)), **result}


def handler(event, context):
    return [make(**call) for call in event["calls"]]
