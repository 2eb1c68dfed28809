#!/bin/sh
: '@COMMENT@ skip=@SKIP@
'
# A package that runs itself: this text, the runner (poncho_package_run), then an ordinary .tar.gz, which begins behind
# the first @SKIP@ bytes of this file. It needs a POSIX shell, tar, gzip and coreutils.
_px_self=$0
case $_px_self in */*) ;; *) [ -f "$_px_self" ] && _px_self=./$_px_self || _px_self=$(command -v -- "$_px_self") ;; esac
case ${1-} in
    '' | -h | --help)
        cat <<END
Usage: $0 [options] [--] COMMAND [ARGUMENT]...
       $0 --extract DIR

Become COMMAND inside the environment that is in this file: it is unpacked once on each node, and used again.

  --extract DIR              unpack the environment into DIR, which is then used by DIR/bin/run_in_env COMMAND
  -u, --unpack-to DIR        let DIR be the environment, instead of a directory in the store
  -w, --wait-for-lock SECS   wait at most so long while another process unpacks the same environment (300)
      --no-store             unpack for this command alone, and delete the environment when it has ended
      --env NAME=VALUE       one more variable for COMMAND; may be repeated
      --env-file FILE        one such variable a line
      --clean-env            none of the caller's other variables
      --cwd DIR              start COMMAND in DIR
      --isolate              the environment read-only, the home hidden
      --bind PATH            with --isolate: another path below the home that stays visible; may be repeated
      --print-env[=json]     print what the environment sets, and stop
      --list-env             print the variables that lead into the environment and where they lead, and stop
  -d, --debug                one line per step on stderr
  -h, --help                 this text

The package inside, as a file that every tar reads: tail -c +@AFTER@ $0 >env.tar.gz
END
        exit 0
        ;;
    --extract | --extract=*)
        case $1 in
            --extract=?*) _px_dir=${1#--extract=} && shift ;;
            *)
                _px_dir=${2-}
                [ $# -lt 2 ] || shift
                shift
                ;;
        esac
        if [ -z "$_px_dir" ] || [ $# -gt 0 ]; then
            printf '%s: --extract takes one directory and no command\n' "$0" >&2
            exit 125
        fi
        if [ -e "$_px_dir" ] && { [ ! -d "$_px_dir" ] || [ -n "$(ls -A -- "$_px_dir")" ]; }; then
            printf '%s: %s exists and is not empty\n' "$0" "$_px_dir" >&2
            exit 125
        fi
        set -- -u "$_px_dir"
        ;;
esac
set -- -e "$_px_self" "$@"
unset _px_self _px_dir
