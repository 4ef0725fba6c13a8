"""Completion for three shells. A word that is no flag may be a directory: more of it a shell cannot know."""

from collections.abc import Iterator, Mapping

from manual.commands import Command, Flag, Kind


def bash(command: Command) -> str:
    """Return the file for bash, which may have no other completion installed."""
    names = " ".join(name for flag in command.flags for name in flag.names)
    cases = "\n".join(f"        {line}" for flag in command.flags for line in _bash_case(flag))
    return f"""\
# bash completion for {command.name}

_{command.name}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} flag=${{COMP_WORDS[COMP_CWORD - 1]}}
    # In --flag=value the = is a word of its own.
    if [[ $word == = ]]; then
        word=
    elif [[ $flag == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    COMPREPLY=()
    case $flag in
{cases}
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$word")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    fi
}}
complete -F _{command.name} {command.name}
"""


_BASH: Mapping[Kind, str] = {Kind.FILE: "-f", Kind.DIRECTORY: "-d", Kind.USER: "-u", Kind.GROUP: "-g"}


def _bash_case(flag: Flag) -> Iterator[str]:
    if flag.takes == 0 or (flag.takes == "?" and not flag.choices):
        return
    yield f"{'|'.join(flag.names)})"
    if flag.kind in (Kind.FILE, Kind.DIRECTORY):
        yield "    compopt -o filenames 2>/dev/null"
    if flag.kind is not None:
        yield f'    mapfile -t COMPREPLY < <(compgen {_BASH[flag.kind]} -- "$word")'
    elif flag.choices:
        yield f"""    mapfile -t COMPREPLY < <(compgen -W '{" ".join(flag.choices)}' -- "$word")"""
    # A value that may be left out is only one of the things that may follow.
    yield "    ((${#COMPREPLY[@]})) && return ;;" if flag.takes == "?" else "    return ;;"


def fish(command: Command) -> str:
    """Return the file for fish."""
    lines = [
        f"# fish completion for {command.name}",
        "",
        f"complete -c {command.name} -f -a '(__fish_complete_directories (commandline -ct))'",
        *(" ".join([f"complete -c {command.name}", *_fish_words(flag)]) for flag in command.flags),
    ]
    return "\n".join(lines) + "\n"


_FISH: Mapping[Kind, str] = {
    Kind.FILE: "-r -F",
    Kind.DIRECTORY: "-x -a '(__fish_complete_directories (commandline -ct))'",
    Kind.USER: "-x -a '(__fish_complete_users)'",
    Kind.GROUP: "-x -a '(__fish_complete_groups)'",
}


def _fish_words(flag: Flag) -> Iterator[str]:
    for name in flag.names:
        yield f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
    if flag.kind is not None:
        yield _FISH[flag.kind]
    elif flag.choices:
        yield f"{'-f' if flag.takes == '?' else '-x'} -a '{' '.join(flag.choices)}'"
    elif flag.takes in (None, "+"):
        yield "-x"
    quoted = _brief(flag).replace("\\", "\\\\").replace("'", "\\'")
    yield f"-d '{quoted}'"


def zsh(command: Command) -> str:
    """Return the file for zsh."""
    specs = " \\\n".join(f"    {_zsh_spec(flag)}" for flag in command.flags)
    return f"#compdef {command.name}\n\n_arguments -s -S \\\n{specs} \\\n    '*:directory:_directories'\n"


_ZSH: Mapping[Kind, str] = {
    Kind.FILE: "_files",
    Kind.DIRECTORY: "_directories",
    Kind.USER: "_users",
    Kind.GROUP: "_groups",
}


def _zsh_spec(flag: Flag) -> str:
    # What stands in the parentheses is not offered again.
    exclusive = "'*'" if flag.repeatable else f"'({' '.join(flag.names)})'"
    long = {name: name + ("=" if flag.takes != 0 and name.startswith("--") else "") for name in flag.names}
    short = {
        name: spelt + ("+" if flag.takes != 0 and not name.startswith("--") else "") for name, spelt in long.items()
    }
    names = "{" + ",".join(short.values()) + "}" if len(short) > 1 else next(iter(short.values()))
    value = ""
    if flag.takes != 0:
        action = _ZSH[flag.kind] if flag.kind is not None else f"({' '.join(flag.choices)})" if flag.choices else " "
        value = f"{'::' if flag.takes == '?' else ':'}{_zsh_text(flag.value)}:{action}"
    return f"{exclusive}{names}'[{_zsh_text(_brief(flag))}]{value}'"


def _zsh_text(text: str) -> str:
    for sign in "\\[]:":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("'", "'\\''")


def _brief(flag: Flag) -> str:
    """Cut a help text down to what it begins with: in a shell it has half a line."""
    text = flag.help.partition(" (default")[0]
    for end in (". ", "; ", ": "):
        text = text.partition(end)[0]
    return text
