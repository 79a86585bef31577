"""The guest in Python."""
import hashlib
import json
import os
import urllib.error
import urllib.request


def handler(event, context):
    request = urllib.request.Request("http://localhost:2773" + event["path"],
                                     headers={"X-Aws-Parameters-Secrets-Token": os.environ["AWS_SESSION_TOKEN"]})
    try:
        status, answer = 200, json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as e:
        status, answer = e.code, {}
    value = answer.get("SecretString", "") + answer.get("Parameter", {}).get("Value", "")
    if event["do"] == "print":
        print("the value is", value)
    if event["do"] == "exit":
        os._exit(3)
    if event["do"] == "fail":
        raise ValueError("it failed for another reason")
    return {"status": status, "sum": hashlib.sha256(value.encode()).hexdigest()}
