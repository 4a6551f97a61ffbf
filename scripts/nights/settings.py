"""Changes keys of a home's aifx.yaml, strictly: a key that is not there is an error, and aifx itself is asked afterwards whether it
reads the value that was meant. What was changed is kept, for a script to print as `deviates`."""

import json


class NoSuchKey(SystemExit):
    def __init__(self, path, why):
        super().__init__(f"error: aifx.yaml has no key {path}: {why}\n  hint: `aifx init` writes every key; keys are named as in `aifx config show`")


def flow_entries(text, begin):
    """Keys of the flow mapping that opens at `begin`, each with where its value begins and ends."""
    entries, depth, quote, key, start = {}, 0, None, None, begin + 1
    place = begin
    while place < len(text):
        char = text[place]
        if quote:
            quote = None if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "{[":
            depth += 1
        elif char == ":" and depth == 1 and key is None and text[place + 1 : place + 2] in (" ", "{", "["):
            key, start = text[start:place].strip().strip("\"'"), place + 1
        elif (char == "," and depth == 1) or (char == "}" and depth == 1):
            if key is not None:
                value = text[start:place]
                lead = len(value) - len(value.lstrip())
                entries[key] = (start + lead, start + len(value.rstrip()))
            key, start = None, place + 1
            if char == "}":
                return entries
        elif char in "}]":
            depth -= 1
        place += 1
    raise ValueError("a mapping that does not end on its line")


def within_flow(text, begin, keys, path):
    """Begin and end of the value of nested keys inside the flow mapping at `begin`."""
    entries = flow_entries(text, begin)
    if keys[0] not in entries:
        raise NoSuchKey(path, f"there are {', '.join(entries)}")
    start, end = entries[keys[0]]
    if len(keys) == 1:
        return start, end
    if text[start : start + 1] != "{":
        raise NoSuchKey(path, f"{keys[0]} is a single value")
    return within_flow(text, start, keys[1:], path)


def value_span(lines, path):
    """Line, begin and end of the value of a dotted path."""
    keys = path.split(".")
    low, high, indent = 0, len(lines), -1
    for depth, key in enumerate(keys):
        found = None
        for number in range(low, high):
            line = lines[number]
            stripped = line.lstrip()
            own = len(line) - len(stripped)
            if not stripped or stripped.startswith("#"):
                continue
            if own <= indent:
                break
            if stripped.split(":", 1)[0] == key and ":" in stripped and own == first_indent(lines, low, high, indent):
                found = number, own
                break
        if found is None:
            raise NoSuchKey(path, f"{key} is not written")
        number, indent = found
        line = lines[number]
        begin = indent + len(key) + 1
        begin += len(line[begin:]) - len(line[begin:].lstrip())
        rest = keys[depth + 1 :]
        if not rest:
            return number, begin, len(line.rstrip())
        if line[begin : begin + 1] == "{":
            return (number, *within_flow(line, begin, rest, path))
        if line[begin:].strip():
            raise NoSuchKey(path, f"{key} is a single value")
        low = number + 1
    raise NoSuchKey(path, "it is no key")


def first_indent(lines, low, high, outer):
    """Indentation of the children of a block."""
    for line in lines[low:high]:
        stripped = line.lstrip()
        if stripped and not stripped.startswith("#"):
            own = len(line) - len(stripped)
            return own if own > outer else None
    return None


def set_keys(text, changes):
    """The text with other values, and those that differ from what stood there: {path: value}."""
    lines = text.splitlines()
    differ = {}
    for path, value in changes.items():
        number, begin, end = value_span(lines, path)
        if lines[number][begin:end] != value:
            differ[path] = value
            lines[number] = lines[number][:begin] + value + lines[number][end:]
    return "\n".join(lines) + "\n", differ


def full_path(key, line):
    """A key of the line may be given without `lines.NAME.`."""
    top = ("seed", "threads", "limits", "database", "collect", "events", "metrics", "lines")
    return key if key.split(".")[0] in top else f"lines.{line}.{key}"


def configure(home, changes, line):
    """Sets keys of the home's file (values as YAML text), checks with `aifx config show`, and returns what deviates from before,
    keys of the line without its name."""
    file = home.folder / "aifx.yaml"
    changes = {full_path(key, line): str(value) for key, value in changes.items()}
    text, differ = set_keys(file.read_text(), changes)
    file.write_text(text)
    settings = {one["key"]: one for one in home.run("config", "show")[1]["settings"]}
    for path, value in changes.items():
        seen = [one for key, one in settings.items() if key == path or key.startswith(path + ".")]
        if not seen or any(not one["from"].startswith("aifx.yaml") for one in seen):
            raise SystemExit(f"error: aifx does not read {path} from aifx.yaml: {seen}")
        try:
            wanted = json.loads(value)
        except ValueError:
            continue
        if len(seen) == 1 and isinstance(wanted, (int, float)) and seen[0]["value"] != wanted:
            raise SystemExit(f"error: {path} was set to {value} and aifx reads {seen[0]['value']}")
    prefix = f"lines.{line}."
    return {key.removeprefix(prefix): value for key, value in differ.items()}
