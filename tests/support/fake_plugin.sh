#!/bin/sh
# An age plugin for tests, named age-plugin-fake. It keeps no secret: a stanza `fake` holds the file key as it is.
#
# $FAKE_LOG gets a line for each run: the conversation, and whether a key of ours was to be seen. $FAKE_MODE makes it misbehave.
hidden=clean
[ -z "${SOPS_AGE_KEY+x}$(env | grep AGE-SECRET-KEY)" ] || hidden=leaked
[ -z "$FAKE_LOG" ] || echo "$1 $hidden" >> "$FAKE_LOG"

say() { # command and arguments, body in base64
  printf -- '-> %s\n%s\n' "$1" "$2"
}
ask() { # the same, and waits for the answer, whose body is then in $body
  say "$1" "$2"
  read -r answer || exit 1
  read -r body || exit 1
}

case "$FAKE_MODE" in
  quits) exit 3 ;;
  endless) while :; do say msg aGk; done ;;
  flood) while :; do printf 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'; done ;;
  silent) exec sleep 1000 ;;
  garbage) echo "hello there"; echo ;;
esac

key=
while read -r line; do
  case "$line" in
    '-> done') read -r line; break ;;
    '-> wrap-file-key' | '-> recipient-stanza 0 fake') read -r key ;;
  esac
done

case "$FAKE_MODE" in
  # "no touch", a line end, an escape sequence that clears the screen, "x".
  escapes) ask 'error internal' bm8gdG91Y2gKG1sySng ;;
  # "PIN for \e[2Jslot?"
  pin)
    ask request-secret UElOIGZvciAbWzJKc2xvdD8
    # "1234"
    [ "$answer $body" = '-> ok MTIzNA' ] || { ask 'error internal' bm8gUElO; say done ''; exit; }
    ;;
  # "plug it in?", "done", "skip"; then "touch it"
  confirm)
    ask 'confirm ZG9uZQ c2tpcA' cGx1ZyBpdCBpbj8
    [ "$answer" = '-> ok yes' ] || { say done ''; exit; }
    ask msg dG91Y2ggaXQ
    ;;
  unknown) ask 'dance wildly' ''; [ "$answer" = '-> unsupported' ] || exit 4 ;;
  twice) ask 'file-key 0' "$key" ;;
  short) key=AAAA ;;
esac

if [ "$FAKE_MODE" = many ]; then
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
    ask 'recipient-stanza 0 fake' "$key"
  done
fi
if [ -n "$key" ]; then
  case "$1" in
    --age-plugin=recipient-v1) ask 'recipient-stanza 0 fake' "$key" ;;
    --age-plugin=identity-v1) ask 'file-key 0' "$key" ;;
  esac
fi
say 'done' ''
