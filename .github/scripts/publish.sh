#!/usr/bin/env bash
# publish.sh TAG FOLDER PATCH: the release with the programs of a folder, and the tags of the action.
#
# The commit with the digests comes after the one that is tagged v1.2.3, whose programs they are of. It gets the tag
# action-v1.2.3, which stays, and the tag v1, which moves on, never back. Started again, it goes on where it was.
set -euo pipefail
tag=$1 folder=$2 patch=$3
version=${tag#v}
major=${tag%%.*}
scripts=$(dirname "${BASH_SOURCE[0]}")

# Whether what a release has is what is here: others have its digests already.
same() {
    local there
    there=$(mktemp -d)
    gh release download "$tag" --dir "$there"
    diff --recursive --brief "$folder" "$there"
}

gh auth setup-git
draft=$(gh release view "$tag" --json isDraft --jq .isDraft 2>/dev/null || echo none)
if [[ "$draft" == false ]]; then
    if ! same >&2; then
        echo "error: the release $tag is out with other programs" >&2
        echo "hint: a published program is not replaced: make a new version" >&2
        exit 1
    fi
else
    # The section of this version, without its heading.
    notes=$(awk -v heading="## [$version]" 'index($0, heading) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md)
    if [[ "$draft" == none ]]; then
        gh release create "$tag" --verify-tag --draft --title "$tag" --notes "$notes"
    fi
    gh release upload "$tag" --clobber "$folder"/cml-*
    gh release edit "$tag" --draft=false
fi

# From here on the addresses are there that the action has in it.
if commit=$(git ls-remote --exit-code origin "refs/tags/action-$tag" | cut -f 1); then
    git fetch --quiet --depth 1 origin "refs/tags/action-$tag"
else
    git apply --index "$patch"
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
