#compdef #COMMANDS#
# Completion of #COMMANDS# for zsh, made by the build of sshnp.

_sshnp_rows() {
  rows=()
  case $1 in
#TABLE#
  esac
}

# What stands behind an option: its third cell, empty where nothing does.
_sshnp_kind() {
  local row
  for row in $rows; do
    [[ $row == "option|$1|"* ]] && REPLY=${${row#option\|*\|}%%\|*} && return
  done
  REPLY=
}

_sshnp() {
  local -a rows found told cells
  local row word REPLY command=${(Q)words[1]}
  local expects= named= place=0 i=0
  local walked=${command:t}
  _sshnp_rows $walked
  for word in ${(Q)words[2,CURRENT-1]}; do
    if [[ -n $expects ]]; then
      expects=
    elif [[ $word == --*=* ]]; then
      continue
    elif [[ $word == -?* && ( $walked != sshnp || -z $named || $named == @* ) ]]; then
      _sshnp_kind $word
      expects=$REPLY
    elif (( place == 0 )) && [[ -n ${(M)rows:#command\|$word\|*} ]]; then
      walked="$walked $word"
      _sshnp_rows $walked
    else
      named=$word
      place=$(( place + 1 ))
    fi
  done
  # Behind the device all is ssh's.
  if [[ $walked == sshnp && -n $named && $named != @* ]]; then
    _files
    return
  fi
  if [[ -z $expects && $PREFIX == --*=* ]]; then
    _sshnp_kind ${PREFIX%%=*}
    expects=$REPLY
    [[ -n $expects ]] || return 1
    compset -P 1 '*='
  elif [[ -z $expects && $PREFIX == -* ]]; then
    for row in $rows; do
      cells=("${(@s:|:)row}")
      [[ $cells[1] == option ]] && told+=("${cells[2]//:/\\:}:$cells[4]")
    done
    _describe -o option told
    return
  elif [[ -z $expects ]]; then
    for row in $rows; do
      cells=("${(@s:|:)row}")
      [[ $cells[1] == command ]] && (( place == 0 )) && told+=("${cells[2]//:/\\:}:$cells[4]")
      [[ $cells[1] == word ]] && (( i++ == place )) && expects=$cells[3]
    done
    (( $#told )) && _describe command told
  fi
  case $expects in
  (file) _files ;;
  (folder) _files -/ ;;
  (profile) found=(${(f)"$(sshnp completion --profiles 2> /dev/null)"}); compadd -a found ;;
  (device)
    if [[ $named == @* ]]; then
      found=(${(f)"$(sshnp completion --devices ${named%%=*} 2> /dev/null)"})
    else
      found=(${(f)"$(sshnp completion --devices 2> /dev/null)"})
    fi
    if [[ $PREFIX == ?*@* ]]; then
      compset -P 1 '*@'
      found=(${found:#@*})
    fi
    compadd -a found
    ;;
  ('='*) found=(${=expects#=}); compadd -a found ;;
  esac
}

if [[ $funcstack[1] == _sshnp ]]; then
  _sshnp "$@"
else
  compdef _sshnp #COMMANDS#
fi
