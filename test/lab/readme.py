# SPDX-License-Identifier: GPL-2.0-or-later
"""The README as somebody follows it: what it has him run, what it has him write, and what is his own."""

import os
import re

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "README.md")


class Block:
    """What stands apart from the text: lines for the end of a file, or commands if file is None."""

    def __init__(self, step, said, text):
        self.step = step  # how the step that it is in begins
        self.said = said  # the paragraph above it
        self.text = text
        named = re.search(r"\b[Ii]n\s+`(/\S+)`[^.`]*:$", said)
        self.file = named.group(1) if named else None

    def __repr__(self):
        return f"<{self.file or 'commands'}: {self.text.splitlines()[0]}>"


def section(title):
    with open(PATH, encoding="utf-8") as file:
        return re.search(rf"^##+ {title}\n(.*?)(?=^##)", file.read(), re.S | re.M).group(1)


def blocks(title="A first cluster by hand"):
    """The blocks of a section in their order: paragraphs that are indented by 4 or more than the text around them."""
    found, step, said, text_indent = [], "", "", 0
    for part in re.split(r"\n\n+(?= *\S)", section(title).strip("\n")):
        indent = len(part) - len(part.lstrip(" "))
        if indent >= text_indent + 4:
            text = re.sub(f"^ {{{indent}}}", "", part, flags=re.M).rstrip("\n") + "\n"
            found.append(Block(step, said, text))
            continue
        begins = re.match(r"\d+\. +", part)
        if begins:
            step, text_indent = part[begins.end():], begins.end()
        elif indent == 0:
            step, text_indent = part, 0
        said = " ".join(part.split())
    return found


def block(word, *title):
    """The text of the one, of a section, that has the word in it."""
    found = [block.text for block in blocks(*title) if word in block.text]
    assert len(found) == 1, word
    return found[0]


def own():
    """What the README has its reader fill in with what is his."""
    rows = re.findall(r"^\| (.*?) \|", section("A first cluster by hand"), re.M)
    return [word for row in rows for word in re.findall(r"`(.*?)`", row)]
