#!/bin/sh
# Enforces protected branches and tags, as GitLab's own pre-receive hook does. The server passes the pushing user's
# rights: GL_RULES has one line per branch rule, "<pattern> <push 0|1> <force push 0|1>"; GL_TAG_RULES one line per tag
# rule, "<pattern> <create 0|1>"; GL_ROLE is the access level. GL_PUSH_RULE is the project's push rule as JSON, or
# empty; GL_PYTHON runs GL_PUSH_RULE_CHECK, which checks that rule. What may be pushed is written to the file GL_PUSH of the folder
# `pushes`, from which the server reads who moved a ref, and with which push options.
set -f
accepted=''
refuse() {
  echo "GitLab: $1" >&2
  exit 1
}
is_sha() {
  case "$1" in
    *[!0]*) return 0 ;;
    *) return 1 ;;
  esac
}
check_tag() {
  protected=0 create=0
  while read -r pattern may_create; do
    [ -n "$pattern" ] || continue
    # shellcheck disable=SC2254
    case "$tag" in
      $pattern)
        protected=1
        [ "$may_create" = 1 ] && create=1
        ;;
    esac
  done <<RULES
$GL_TAG_RULES
RULES
  if is_sha "$new"; then
    [ "$tag" != "$GL_DEFAULT_BRANCH" ] || is_sha "$old" || refuse "You cannot use default branch name to create a tag"
    ! printf %s "$tag" | grep -Eq '^[0-9a-f]{40}' \
      || refuse "You cannot create a tag with a SHA-1 or SHA-256 tag name."
  fi
  [ "$protected" = 1 ] || return 0
  if ! is_sha "$new"; then
    [ "$GL_ROLE" -ge 40 ] || refuse "You are not allowed to delete protected tags from this project.\
 Only a project maintainer or owner can delete a protected tag."
    refuse "You can only delete protected tags using the web interface."
  fi
  ! is_sha "$old" || refuse "Protected tags cannot be updated."
  [ "$create" = 1 ] || refuse "You are not allowed to create this tag as it is protected."
}
check_branch_name() {
  case "$branch" in
    HEAD | -* | refs/heads/* | refs/remotes/* | refs/tags/*) refuse "The branch name '$branch' is invalid." ;;
  esac
  ! printf %s "$branch" | grep -Eqx '[0-9a-f]{40}|[0-9a-f]{64}' \
    || refuse "You cannot create a branch with a SHA-1 or SHA-256 branch name."
}
check_branch() {
  is_sha "$old" || ! is_sha "$new" || check_branch_name
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
  [ "$protected" = 1 ] || return 0
  is_sha "$new" || refuse "You can only delete protected branches using the web interface."
  [ "$push" = 1 ] || refuse "You are not allowed to push code to protected branches on this project."
  if is_sha "$old" && [ "$force" = 0 ] && ! git merge-base --is-ancestor "$old" "$new"; then
    refuse "You are not allowed to force push code to a protected branch on this project."
  fi
}
push_rule() {
  "$GL_PYTHON" -I "$GL_PUSH_RULE_CHECK" "$GL_PUSH_RULE" "$@"
}
check_push_rule() {
  [ -n "$GL_PUSH_RULE" ] || return 0
  if ! is_sha "$new"; then
    [ -z "$tag" ] || push_rule tag "$tag" || exit 1
    return 0
  fi
  [ -z "$branch" ] || [ "$branch" = "$GL_DEFAULT_BRANCH" ] || push_rule branch "$branch" || exit 1
  git log -z --format='%ae%n%ce%n%B' "$new" --not --all | push_rule commits || exit 1
  git log -z --name-only --diff-filter=ACMR --format= "$new" --not --all | push_rule names || exit 1
  git rev-list --objects "$new" --not --all | git cat-file --batch-check='%(objecttype) %(objectsize) %(rest)' \
    | push_rule sizes || exit 1
}
number=0
while [ "$number" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "option=\$GIT_PUSH_OPTION_$number"
  case "$option" in
    *"
"*) refuse "A push option has more than one line." ;;
    ci.skip | ci.no_pipeline | merge_request.create | merge_request.draft | merge_request.remove_source_branch) ;;
    merge_request.target=* | merge_request.title=* | merge_request.description=* | merge_request.label=*) ;;
    *) refuse "The push option '$option' is not supported by the loopback GitLab." ;;
  esac
  accepted="${accepted}option $option
"
  number=$((number + 1))
done
while read -r old new ref; do
  branch='' tag=''
  [ "${GL_ROLE:-0}" -ge 30 ] || refuse "You are not allowed to push code to this project."
  case "$ref" in
    refs/heads/*) branch=${ref#refs/heads/} && check_branch ;;
    refs/tags/*) tag=${ref#refs/tags/} && check_tag ;;
    *) refuse "You cannot push to $ref: hidden ref" ;;
  esac
  check_push_rule
  accepted="$accepted$new $ref
"
done
mkdir -p pushes && printf %s "$accepted" > "pushes/$GL_PUSH"
