#!/bin/sh
# Protected branches, as GitLab's own pre-receive hook enforces them. The server passes what the pushing user may
# do: GL_RULES has one line per rule, "<pattern> <may push 0|1> <may force push 0|1>"; GL_ROLE is the access level.
set -f
refuse() {
  echo "GitLab: $1" >&2
  exit 1
}
while read -r old new ref; do
  case "$ref" in
    refs/heads/*) branch=${ref#refs/heads/} ;;
    refs/tags/*) branch= ;;
    *) refuse "You cannot push to $ref: hidden ref" ;;
  esac
  [ "${GL_ROLE:-0}" -ge 30 ] || refuse "You are not allowed to push code to this project."
  [ -n "$branch" ] || continue
  protected=0 push=0 force=1
  while read -r pattern may_push may_force; do
    [ -n "$pattern" ] || continue
    # shellcheck disable=SC2254
    case "$branch" in
      $pattern)
        protected=1
        [ "$may_push" = 1 ] && push=1
        [ "$may_force" = 1 ] || force=0
        ;;
    esac
  done <<RULES
$GL_RULES
RULES
  [ "$protected" = 1 ] || continue
  case "$new" in
    *[!0]*) ;;
    *) refuse "You can only delete protected branches using the web interface." ;;
  esac
  [ "$push" = 1 ] || refuse "You are not allowed to push code to protected branches on this project."
  case "$old" in
    *[!0]*)
      if [ "$force" = 0 ] && ! git merge-base --is-ancestor "$old" "$new"; then
        refuse "You are not allowed to force push code to a protected branch on this project."
      fi
      ;;
  esac
done
exit 0
