# Completion of #COMMANDS# for fish, made by the build of sshnp.

function __sshnp_rows
  set -l rows
  switch "$argv[1]"
#TABLE#
  end
  printf '%s\n' $rows
end

function __sshnp_complete
  set -l words (commandline -opc)
  set -l cur (commandline -ct)
  set -l path (string replace -r '.*/' '' -- $words[1])
  set -l rows (__sshnp_rows $path)
  set -l expects ''
  set -l named ''
  set -l place 0
  for word in $words[2..-1]
    if test -n "$expects"
      set expects ''
    else if string match -q -- '--*=*' $word
      continue
    else if string match -q -- '-?*' $word; and begin
        test "$path" != sshnp -o -z "$named"; or string match -q -- '@*' $named
      end
      set expects (string split '|' -- (string match -- "option|$word|*" $rows)[1])[3]
    else if test $place -eq 0; and string match -q -- "command|$word|*" $rows
      set path "$path $word"
      set rows (__sshnp_rows $path)
    else
      set named $word
      set place (math $place + 1)
    end
  end
  # Behind the device all is ssh's.
  if test "$path" = sshnp -a -n "$named"; and not string match -q -- '@*' $named
    __fish_complete_path $cur
    return
  end
  set -l before ''
  if test -z "$expects"; and string match -q -- '--*=*' $cur
    set -l parts (string split -m 1 = -- $cur)
    set expects (string split '|' -- (string match -- "option|$parts[1]|*" $rows)[1])[3]
    test -n "$expects"; or return
    set before "$parts[1]="
    set cur $parts[2]
  else if test -z "$expects"; and string match -q -- '-*' $cur
    for row in (string match -- 'option|*' $rows)
      set -l cells (string split '|' -- $row)
      printf '%s\t%s\n' $cells[2] $cells[4]
    end
    return
  else if test -z "$expects"
    if test $place -eq 0
      for row in (string match -- 'command|*' $rows)
        set -l cells (string split '|' -- $row)
        printf '%s\t%s\n' $cells[2] $cells[4]
      end
    end
    set -l places (string match -- 'word|*' $rows)
    if test $place -lt (count $places)
      set expects (string split '|' -- $places[(math $place + 1)])[3]
    end
  end
  switch "$expects"
    case file
      string replace -r '^' -- $before (__fish_complete_path $cur)
    case folder
      string replace -r '^' -- $before (__fish_complete_directories $cur)
    case profile
      string replace -r '^' -- $before (sshnp completion --profiles 2> /dev/null)
    case device
      set -l of
      string match -q -- '@*' $named; and set of (string replace -r '=.*' '' -- $named)
      set -l found (sshnp completion --devices $of 2> /dev/null)
      if string match -q -- '?*@*' $cur
        set before $before(string replace -r '@[^@]*$' '@' -- $cur)
        set found (string match -v -- '@*' $found)
      end
      string replace -r '^' -- $before $found
    case '=*'
      string replace -r '^' -- $before (string split ' ' -- (string sub -s 2 -- $expects))
  end
end

for name in #COMMANDS#
  complete -c $name -f -a '(__sshnp_complete)'
end
