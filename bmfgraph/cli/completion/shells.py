"""Provide the shells' completion scripts, and the form of the answers they read.

Each script asks ``bmfgraph --shell-completion query=SHELL`` with the line so far in ``COMP_LINE``, and finds files
itself. Click's own scripts cannot serve ``KEY=VALUE``: they add a space after ``KEY=``, complete file names only for a
whole word, so not after ``input=`` (zsh, fish, and bash where ``=`` does not break words), and bash hands them words
that it has split at ``=`` and ``:``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bmfgraph.system.text import shown

__all__ = ["INSTALL", "UNINSTALL", "Answer", "Kind"]

Kind = Literal["words", "files", "folders"]


@dataclass(frozen=True)
class Answer:
    """The completions of a word: candidates, or the names of files or folders."""

    head: str
    """The word so far; for files and folders the part before their name."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Each candidate with an explanation."""
    kind: Kind = "words"
    name: str = ""
    """The beginning of the name of a file or folder."""

    def text(self, *, explained: bool) -> str:
        """Write the lines that the shell reads."""
        if self.kind != "words":
            return f"{self.kind}\n{self.head}\n{self.name}\n"
        # A word with a control character cannot be typed, and would add lines to the answer.
        words = {word: shown(about) for word, about in self.words.items() if shown(word) == word and "\n" not in word}
        lines = [f"{word}\t{about}" if about and explained else word for word, about in words.items()]
        return "".join(f"{line}\n" for line in ("words", self.head, *lines))


_BASH = r"""_bmfgraph() {
    local answer strip
    mapfile -t answer < <(
        COMP_LINE=${COMP_LINE:0:COMP_POINT} "${COMP_WORDS[0]/#\~/$HOME}" --shell-completion query=bash 2> /dev/null
    )
    COMPREPLY=()
    case ${answer[0]} in
    words)
        # Readline replaces only the text after the last of COMP_WORDBREAKS, which may hold the equals sign.
        strip=${answer[1]%"$2"}
        COMPREPLY=("${answer[@]:2}")
            COMPREPLY=("${COMPREPLY[@]#"$strip"}")
        [[ ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace
        ;;
    files | folders)
        compopt -o filenames
        [[ ${answer[0]} == files ]] && strip=-f || strip=-d
        mapfile -t COMPREPLY < <(compgen "$strip" -- "${answer[2]}")
        [[ -n ${answer[1]} && $2 == "${answer[1]}"* ]] && COMPREPLY=("${COMPREPLY[@]/#/${answer[1]}}")
        ;;
    esac
}
complete -F _bmfgraph bmfgraph
"""
_ZSH = r"""(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
_bmfgraph() {
    local -a answer open whole
    local typed=$PREFIX line
    [[ -n $compstate[quote] ]] && typed=${(q)PREFIX}
    answer=("${(@f)$(
        COMP_LINE="${(j: :)words[1,CURRENT-1]} $typed" ${~words[1]} --shell-completion query=zsh 2> /dev/null
    )}")
    case $answer[1] in
    words)
        for line in "${(@)answer[3,-1]}"; do
            local word=${line%%$'\t'*} about=
            [[ $line == *$'\t'* ]] && about=:${line#*$'\t'}
            if [[ $word == *[=./] ]]; then
                open+=("${word//:/\\:}$about")
            else
                whole+=("${word//:/\\:}$about")
            fi
        done
        _describe -V word whole -- open -S ''
        ;;
    files | folders)
        [[ -n $answer[2] ]] && compset -P 1 '*='
        if [[ $answer[1] == files ]]; then _files; else _path_files -/; fi
        ;;
    esac
}
compdef _bmfgraph bmfgraph
"""
_FISH = r"""function __bmfgraph_complete
    set -l program (string replace -r '^~' $HOME (commandline -cpo)[1])
    set -lx COMP_LINE (commandline -cp | string collect)
    set -l answer (command $program --shell-completion query=fish 2> /dev/null)
    switch "$answer[1]"
        case words
            printf '%s\n' $answer[3..]
        case files folders
            # An empty command name makes fish complete files. Escaped names may still begin with ~.
            set -l name (string escape -n -- "$answer[3]" | string replace -r '^\\\\~' '~')
            set -l found (complete -C "'' $name")
            test $answer[1] = folders; and set found (string match -r '.*/$' -- $found)
            set -q found[1]; and printf '%s\n' $answer[2]$found
    end
end
complete -c bmfgraph -e
complete -c bmfgraph -f -a '(__bmfgraph_complete)'
"""

INSTALL = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}
UNINSTALL = {
    "bash": "complete -r bmfgraph; unset -f _bmfgraph\n",
    "fish": "complete -c bmfgraph -e; functions -e __bmfgraph_complete\n",
    "zsh": "compdef -d bmfgraph; unfunction _bmfgraph\n",
}
