#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the OpenAPI document with the version in it, as it is and as a C file: embed.py SOURCE VERSION JSON C"""

import json
import sys


def main():
    source, version, document, target = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        text = f.read().replace('"@VERSION@"', json.dumps(version))
    json.loads(text)
    with open(document, "w", encoding="utf-8") as f:
        f.write(text)
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "schemas/openapi.h"\n\nconst char openapi_json[] =\n')
        for line in text.splitlines(keepends=True):
            escaped = "".join(
                "\\n" if c == 10 else "\\" + chr(c) if c in b'"\\' else chr(c) if 32 <= c < 127 and c != 63
                else "\\%03o" % c for c in line.encode())
            f.write('\t"%s"\n' % escaped)
        f.write("\t;\nconst size_t openapi_json_len = sizeof(openapi_json) - 1;\n")


main()
