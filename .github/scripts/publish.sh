#!/usr/bin/env bash
# publish.sh TAG FOLDER PATCH: the release with the programs of a folder and Homebrew's formula of them, and the tags of the action.
#
# The commit with the digests comes after the one that is tagged v1.2.3, whose programs they are of. It gets the tag
# action-v1.2.3, which stays, and the tag v1, which moves on, never back. Started again, it goes on where it was.
#
# The patch comes from a machine that has compiled others' code. It only goes into the index, and only where it changes what
# carries the digests; and the programs are those whose digests it records.
set -euo pipefail
tag=$1 folder=$2 patch=$3
version=${tag#v}
major=${tag%%.*}
scripts=$(dirname "${BASH_SOURCE[0]}")

# fail MESSAGE HINT
fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

git apply --cached "$patch"
while read -r _ mode _ _ status path; do
    case "$status $path" in
    "M action/native.json" | "M dist/"* | "M gitlab-component/templates/"*.yml) ;;
    *) fail "the patch changes $path" "it may only change action/native.json, dist/ and the templates of the component" ;;
    esac
    if [[ "$mode" != 100644 ]]; then fail "the patch makes $path something else than a file" "look at the job digests"; fi
done < <(git diff --cached --raw --no-renames HEAD)

# As sha256sum writes them.
recorded=$(git show :action/native.json | sed -n 's/.*"name": "\([^"]*\)", "sha256": "\([0-9a-f]\{64\}\)".*/\2  \1/p' | LC_ALL=C sort -k 2)
there=$(cd "$folder" && sha256sum -- * | LC_ALL=C sort -k 2)
if [[ -z "$recorded" || "$recorded" != "$there" ]]; then
    diff <(echo "$recorded") <(echo "$there") >&2 || true
    fail "the programs are not those whose digests action/native.json records" "run the jobs program and digests again"
fi

assets=$(mktemp -d)
cp "$folder"/cml-* "$assets"
"$scripts/formula.sh" "$tag" "$folder" >"$assets/cml.rb"

# Whether what a release has is what is here: others have its digests already.
same() {
    local there
    there=$(mktemp -d)
    gh release download "$tag" --dir "$there"
    diff --recursive --brief "$assets" "$there"
}

gh auth setup-git
draft=$(gh release view "$tag" --json isDraft --jq .isDraft 2>/dev/null || echo none)
if [[ "$draft" == false ]]; then
    if ! same >&2; then
        fail "the release $tag is out with other programs" "a published program is not replaced: make a new version"
    fi
else
    # The section of this version, without its heading.
    notes=$(awk -v heading="## [$version]" 'index($0, heading) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md)
    if [[ "$draft" == none ]]; then
        gh release create "$tag" --verify-tag --draft --title "$tag" --notes "$notes"
    fi
    gh release upload "$tag" --clobber "$assets"/*
    gh release edit "$tag" --draft=false
fi

# From here on the addresses are there that the action has in it.
if commit=$(git ls-remote --exit-code origin "refs/tags/action-$tag" | cut -f 1); then
    git fetch --quiet --depth 1 origin "refs/tags/action-$tag"
else
    # The commit that is tagged decides the time, too: the same sources give the same commit.
    date=$(git log -1 --format=%cI)
    export GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date
    git -c user.name='github-actions[bot]' -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
        commit --quiet --message "The action of $tag, with the digests of its programs"
    commit=$(git rev-parse HEAD)
    git push origin "$commit:refs/tags/action-$tag"
fi
newest=$("$scripts/newest.sh" "$tag" "$major.*")
if [[ "$newest" == "$tag" ]]; then
    git push --force origin "$commit:refs/tags/$major"
else
    echo "$major stays at $newest"
fi
echo "org/setup-cml-rs@$commit # action-$tag"
