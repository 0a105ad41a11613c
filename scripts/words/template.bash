# Completion of #COMMANDS# for bash, made by the build of sshnp.

_sshnp_rows() {
  rows=()
  case $1 in
#TABLE#
  esac
}

# What stands behind an option: its third cell, empty where nothing does.
_sshnp_kind() {
  local row type name kind
  for row in "${rows[@]}"; do
    IFS='|' read -r type name kind _ <<< "$row"
    [[ $type == option && $name == "$1" ]] && printf '%s' "$kind" && return
  done
}

_sshnp_is_command() {
  local row
  for row in "${rows[@]}"; do [[ $row == "command|$1|"* ]] && return; done
  return 1
}

_sshnp() {
  local line=${COMP_LINE:0:COMP_POINT} words=() rows=() found=() row type name kind word
  local cur path expects= named= prefix= before= place=0 i c whole
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local last=$((${#words[@]} - 1))
  cur=${words[last]}
  path=${words[0]##*/}
  _sshnp_rows "$path"
  for ((i = 1; i < last; i++)); do
    word=${words[i]}
    if [[ -n $expects ]]; then
      expects=
    elif [[ $word == --*=* ]]; then
      continue
    elif [[ $word == -?* && ( $path != sshnp || -z $named || $named == @* ) ]]; then
      expects=$(_sshnp_kind "$word")
    elif ((place == 0)) && _sshnp_is_command "$word"; then
      path="$path $word"
      _sshnp_rows "$path"
    else
      named=$word
      place=$((place + 1))
    fi
  done
  # Behind the device all is ssh's.
  [[ $path == sshnp && -n $named && $named != @* ]] && return
  whole=$cur
  if [[ -z $expects && $cur == --*=* ]]; then
    expects=$(_sshnp_kind "${cur%%=*}")
    before=${cur%%=*}=
    cur=${cur#*=}
    [[ -n $expects ]] || return
  fi
  if [[ -z $expects && $cur == -* ]]; then
    for row in "${rows[@]}"; do
      IFS='|' read -r type name kind _ <<< "$row"
      [[ $type == option ]] && found+=("$name")
    done
  elif [[ -z $expects ]]; then
    i=0
    for row in "${rows[@]}"; do
      IFS='|' read -r type name kind _ <<< "$row"
      [[ $type == command ]] && ((place == 0)) && found+=("$name")
      [[ $type == word ]] && ((i++ == place)) && expects=$kind
    done
  fi
  case $expects in
  file) compopt -o filenames 2> /dev/null; mapfile -t -O "${#found[@]}" found < <(compgen -f -- "$cur") ;;
  folder) compopt -o filenames 2> /dev/null; mapfile -t -O "${#found[@]}" found < <(compgen -d -- "$cur") ;;
  profile) mapfile -t -O "${#found[@]}" found < <(sshnp completion --profiles 2> /dev/null) ;;
  device)
    [[ $cur == ?*@* ]] && prefix=${cur%@*}@
    [[ $named == @* ]] && kind=${named%%=*} || kind=
    for word in $(sshnp completion --devices ${kind:+"$kind"} 2> /dev/null); do
      [[ -n $prefix && $word == @* ]] || found+=("$prefix$word")
    done
    ;;
  =*) read -ra words <<< "${expects#=}"; found+=("${words[@]}") ;;
  esac
  # Readline replaces only what follows the last character that breaks words; of these, an @ is part of what follows.
  local broken=
  for c in '=' ':' '@'; do
    [[ $COMP_WORDBREAKS == *"$c"* && $whole == *"$c"* ]] || continue
    word=${whole%"${whole##*"$c"}"}
    [[ $c == @ ]] && word=${word%@}
    ((${#word} > ${#broken})) && broken=$word
  done
  COMPREPLY=()
  for word in "${found[@]}"; do
    word=$before$word
    [[ $word == "$whole"* ]] && COMPREPLY+=("${word#"$broken"}")
  done
}

complete -o bashdefault -o default -F _sshnp #COMMANDS#
