"""Casemate's Python runtime: loads a Lambda handler and runs it for one event after the other.

Run as "python3 -I -S -u bootstrap.py": no user site, no PYTHON* variables, no site-packages of the host. Only the
standard library, and as little of it as can be: what is imported here is paid for at every cold start. So sockets and
JSON come from the C modules below "socket" and "json", which cost more to import than the interpreter to start.
"""

import os
import sys
import time

import _socket

PREFIX = "/2018-06-01/runtime/"


class Fault(Exception):
    """An error of the runtime's own, with the errorType that Lambda gives it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


class Scanner:
    """The settings that json.loads has by default, as the C scanner asks for them."""

    strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


try:
    import _json

    scan, quote_ascii, quote, make_encoder = _json.make_scanner(Scanner), _json.encode_basestring_ascii, _json.encode_basestring, _json.make_encoder
except (ImportError, AttributeError, TypeError):  # an interpreter without them, or with others
    scan = make_encoder = None


def loads(body):
    """json.loads, which is asked itself about whatever the C scanner does not take."""
    if scan is not None:
        try:
            text = body.decode("utf-8", "surrogatepass")
            value, end = scan(text, len(text) - len(text.lstrip(" \t\n\r")))
            if not text[end:].strip(" \t\n\r"):
                return value
        except (StopIteration, ValueError, SystemError):  # the last where package json is not there to make its error
            pass
    import json

    return json.loads(body)


def dumps(value, default=None, ascii_only=True, digits=None):
    """json.dumps with its settings by default. A string of the type digits stands in it without quotes."""
    if make_encoder is not None:
        quoted = quote_ascii if ascii_only else quote
        text = quoted if digits is None else lambda s: str(s) if type(s) is digits else quoted(s)
        try:
            encode = make_encoder({}, default, text, None, ": ", ", ", False, False, True)
        except TypeError:  # not the arguments of this interpreter
            encode = None
        if encode is not None:
            return "".join(encode(value, 0))
    import json

    known = default if digits is None else lambda v: float(d) if type(d := default(v)) is digits else d
    return json.dumps(value, default=known, ensure_ascii=ascii_only)


class Client:
    """The Runtime API over one keep-alive connection; http.client costs more to import than the rest together."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.host = address
        self.sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.sock.connect((host, int(port)))
        self.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.buffer = b""

    def exchange(self, head, body=b""):
        self.sock.sendall(head.encode("latin-1", "replace") + body)
        return self.answer()

    def answer(self):
        buffer = self.buffer
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            buffer += self.receive()
        lines = buffer[:end].split(b"\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower().decode("ascii")] = value.strip().decode("utf-8", "replace")
        length = int(headers.get("content-length", "0"))
        parts, size = [buffer[end + 4 :]], len(buffer) - end - 4
        while size < length:
            parts.append(self.receive())
            size += len(parts[-1])
        body = b"".join(parts)
        self.buffer = body[length:]
        return int(lines[0].split()[1]), headers, body[:length]

    def receive(self):
        data = self.sock.recv(262144)
        if not data:
            os._exit(1)
        return data

    def head(self, line, extra=""):
        return f"{line} HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: casemate-python\r\n{extra}\r\n"

    def next(self):
        status, headers, body = self.exchange(self.head(f"GET {PREFIX}invocation/next"))
        if status != 200:
            os._exit(1)
        return headers, body

    def post(self, path, body, content_type, extra=""):
        head = self.head(f"POST {PREFIX}{path}", f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}")
        return self.exchange(head, body)[0]

    def error(self, path, document):
        kind = "".join(c for c in document["errorType"] if c.isascii() and (c.isalnum() or c in "._-"))[:128]
        extra = f"Lambda-Runtime-Function-Error-Type: {kind}\r\n"
        self.post(path, dumps(document).encode(), "application/json", extra)


class Part:
    """A record whose absent fields are None, as the context's parts are on Lambda."""

    def __init__(self, names, values):
        for name in names:
            setattr(self, name, values.get(name))


class Context:
    """The second argument of a handler."""

    def __init__(self, headers):
        env = os.environ.get
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = client_context(headers.get("lambda-runtime-client-context"))
        identity = headers.get("lambda-runtime-cognito-identity")
        self.identity = None
        if identity:
            given = loads(identity.encode())
            self.identity = Part((), {})
            self.identity.cognito_identity_id = given.get("cognitoIdentityId")
            self.identity.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")
        self._deadline = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


def client_context(text):
    if not text:
        return None
    try:
        given = loads(text.encode())
    except ValueError as e:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to unmarshal client context: {e}") from None
    context = Part(("custom", "env"), given)
    context.client = None
    if given.get("client"):
        names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
        context.client = Part(names, given["client"])
    return context


REQUEST = {"id": None, "tenant": None}


class Log:
    """Where log entries go: as frames to the descriptor that _LAMBDA_TELEMETRY_LOG_FD names, or as lines to standard output."""

    TEXT, JSON = 0xA55A0003, 0xA55A0002
    fd, as_json = None, False

    @classmethod
    def open(cls):
        told = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        cls.fd = None if told is None else int(told)
        cls.as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"

    @classmethod
    def write(cls, entry, level):
        """level is one of logging's numbers; a line's end is added."""
        if cls.fd is None:
            sys.stdout.write(entry.replace("\n", "\r") + "\n")
            return
        if not cls.as_json:
            entry += "\n"
        text = entry.encode("utf-8", "backslashreplace")
        kind = (cls.JSON if cls.as_json else cls.TEXT) | (0 if level < 10 else min(level // 10 + 1, 6) * 4)
        stamp = int(time.time() * 1000000)
        data = memoryview(b"".join((kind.to_bytes(4, "big"), len(text).to_bytes(4, "big"), stamp.to_bytes(8, "big"), text)))
        while data:
            try:
                data = data[os.write(cls.fd, data) :]
            except BlockingIOError:
                continue
            except OSError:  # nobody reads the log: the function goes on
                return


class LoggingHook:
    """Sets up logging when, and only when, somebody first imports it: the import alone costs ten milliseconds."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            configure_logging(module)

        spec.loader.exec_module = exec_module
        return spec


STAMP = "%Y-%m-%dT%H:%M:%SZ"

# Attributes of a log record that are not what the program put there.
OWN = frozenset(
    """name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created msecs
    relativeCreated thread threadName processName process taskName aws_request_id tenant_id""".split()
)


def json_entry(logging, record):
    """One entry as Lambda documents it, and what the program passed as extra."""
    entry = {"timestamp": time.strftime(STAMP, time.gmtime(record.created)), "level": record.levelname, "message": record.getMessage(), "logger": record.name}
    if record.exc_info and record.exc_info[0]:
        import traceback

        kind, error, trace = record.exc_info
        entry.update(stackTrace=traceback.format_tb(trace), errorType=kind.__name__, errorMessage=str(error))
        entry["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
    entry.update(requestId=REQUEST["id"], tenantId=REQUEST["tenant"])
    entry.update((key, value) for key, value in record.__dict__.items() if key not in OWN and key not in entry)
    return dumps({key: value for key, value in entry.items() if value is not None}, str, False)


def configure_logging(logging):
    """Lambda's default: level, ISO time, request id and message, separated by tabs, one entry a line."""

    class Formatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            record.aws_request_id, record.tenant_id = REQUEST["id"], REQUEST["tenant"]
            return json_entry(logging, record) if Log.as_json else super().format(record)

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            Log.write(self.format(record), record.levelno)

    handler = LambdaLoggerHandler()
    layout = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(Formatter(layout, "%Y-%m-%dT%H:%M:%S"))
    logging.root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    names = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}
    level = logging.getLevelName(names.get(level, level))
    if isinstance(level, int):
        logging.root.setLevel(level)


def stack(error, skip):
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[skip:]
    return traceback.format_list([(f.filename, f.lineno, f.name, f.line) for f in frames])  # no columns: Lambda shows no carets


def document(error, skip):
    """The body posted for an error: {errorMessage, errorType, requestId, stackTrace}."""
    if isinstance(error, Fault):
        doc = {"errorMessage": error.message, "errorType": error.kind, "stackTrace": error.trace or []}
    else:
        doc = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": stack(error, skip)}
    return {"errorMessage": doc["errorMessage"], "errorType": doc["errorType"], "requestId": REQUEST["id"] or "", "stackTrace": doc["stackTrace"]}


def log_error(doc):
    if Log.as_json:
        entry = {"timestamp": time.strftime(STAMP, time.gmtime()), "log_level": "ERROR"}
        entry.update(doc)
        Log.write(dumps(entry, None, False), 40)
        return
    lines = [f"[ERROR] {doc['errorType']}" + (f": {doc['errorMessage']}" if doc["errorMessage"] else "")]
    if doc["stackTrace"]:
        lines.append("Traceback (most recent call last):")
        for element in doc["stackTrace"]:
            lines.extend(indented(line) for line in element.splitlines())
    Log.write("\n".join(lines), 40)


def indented(line):
    """Spaces in front become ones that no log view swallows, as on Lambda."""
    text = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(text)) + text


def load(name):
    """Finds "package/module.function": the module by its path, split at the last dot."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as e:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {e}") from None
    dotted = module_name.replace("/", ".")
    if dotted.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        __import__(dotted)
        module = sys.modules[dotted]
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {e}", None) from None
    except SyntaxError as e:
        trace = [f'  File "{e.filename}" Line {e.lineno}\n    {e.text or ""}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {e}", trace) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from None


class Digits(str):
    """The digits of a Decimal, which stand in an answer as they are."""


class Exact(Exception):
    """There are Decimals in an answer: strings have to be looked at one by one, which the usual answer does without."""


def plain(value):
    """Encodes what json does not know as simplejson does, which Lambda's runtime uses: bytes are text, a Decimal is its digits."""
    if isinstance(value, bytes):
        return value.decode()
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        raise Exact
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def exact(value):
    try:
        return plain(value)
    except Exact:
        return float("nan") if value.is_nan() else Digits(value)


def encode(result, ascii_only):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        try:
            text = dumps(result, plain, ascii_only)
        except Exact:
            text = dumps(result, exact, ascii_only, Digits)
        return text.encode("utf-8", "surrogatepass"), "application/json"
    except (TypeError, ValueError, RecursionError) as e:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {e}") from None


def decode(headers, body):
    if headers.get("content-type", "application/json") != "application/json":
        return body
    try:
        return loads(body)
    except ValueError as e:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {e}") from None


def run(client, handler, ascii_only):
    headers, body = client.next()
    request = REQUEST["id"] = headers.get("lambda-runtime-aws-request-id")
    REQUEST["tenant"] = headers.get("lambda-runtime-aws-tenant-id")
    trace = headers.get("lambda-runtime-trace-id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        event = decode(headers, body)
        answer, content_type = encode(handler(event, Context(headers)), ascii_only)
    except Exception as e:  # SystemExit and KeyboardInterrupt end the process, as on Lambda
        doc = document(e, 1)
        log_error(doc)
        client.error(f"invocation/{request}/error", doc)
        return
    client.post(f"invocation/{request}/response", answer, content_type)


def newer_than_311():
    """Whether the runtime that was asked for writes non-ASCII text unescaped, as python3.12 and later do."""
    name = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
    return name.isdigit() and int(name) >= 12


def wait():
    """Stands still until descriptor 3 has told the environment of a function: NAME=value, with a zero byte between two."""
    os.write(3, b".")  # it is up
    told = b""
    while part := os.read(3, 65536):
        told += part
    os.close(3)
    if not told:
        os._exit(0)  # nobody needs this sandbox
    environment = dict(os.fsdecode(entry).split("=", 1) for entry in told.split(b"\0"))
    for name in list(os.environ):
        if name not in environment:
            del os.environ[name]
    os.environ.update(environment)
    os.chdir(os.environ["LAMBDA_TASK_ROOT"])


def debug():
    """Starts the debugger, which stands beside this file and nowhere on the function's path."""
    sys.argv.remove("--debug")
    sys.path.insert(0, os.path.dirname(__file__))
    import debugger

    sys.path.pop(0)
    sys.modules.pop("debugger")  # the function may have a module of that name
    debugger.start()


def main():
    client = Client(os.environ["AWS_LAMBDA_RUNTIME_API"])
    if "_CASEMATE_WAITS" in os.environ:  # started ahead of any function
        wait()
    task = os.environ["LAMBDA_TASK_ROOT"]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    more = [p for p in os.environ.get("PYTHONPATH", "").split(":") if p]
    sys.path[:0] = [task, f"/opt/python/lib/{version}/site-packages", "/opt/python"] + [p for p in more if p != task]
    if "--debug" in sys.argv:
        debug()
    Log.open()
    sys.meta_path.insert(0, LoggingHook())
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as e:
        doc = document(e, 0)
        if not isinstance(e, Fault):
            doc["stackTrace"] = [line for line in doc["stackTrace"] if __file__ not in line and "importlib" not in line]
        log_error(doc)
        client.error("init/error", doc)
        sys.exit(1)
    ascii_only = not newer_than_311()
    while True:
        run(client, handler, ascii_only)


main()
