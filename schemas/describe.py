#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what the OpenAPI document says of a schema's fields, and of those within it, as a C table:
describe.py SOURCE SCHEMA C"""

import json
import sys


def c_string(text):
    """As a literal: what is no plain character as octal, and no trigraph."""
    return '"%s"' % "".join("\\" + chr(c) if c in b'"\\' else chr(c) if 32 <= c < 127 and c != 63
                            else "\\%03o" % c for c in text.encode())


def main():
    source, first, target = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        schemas = json.load(f)["components"]["schemas"]
    names, rows = [first], []
    for name in names:          # grows as it goes
        for field, prop in schemas[name].get("properties", {}).items():
            rows.append((name, field, prop["description"]))
            inner = prop.get("items", prop).get("$ref", "").rpartition("/")[2]
            if inner and inner not in names:
                names.append(inner)
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "schemas/descriptions.h"\n\nconst struct description descriptions[] = {\n')
        for row in rows:
            f.write("\t{ %s },\n" % ", ".join(map(c_string, row)))
        f.write("};\nconst size_t n_descriptions = sizeof(descriptions) / sizeof(descriptions[0]);\n")


main()
