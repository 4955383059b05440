"""The shortcut past betterproto: the same meaning for every message, whatever its bytes."""

from __future__ import annotations

import betterproto
from hypothesis import given
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs

from localcluster.pachyderm.servicer.content import Content, decode

PATHS = st.text(max_size=20)
REQUESTS = st.one_of(
    st.builds(lambda path: pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)), PATHS),
    st.builds(
        lambda path, raw, datum: pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=raw, datum=datum)),
        PATHS,
        st.binary(max_size=300),
        st.sampled_from(["", "d"]),
    ),
    st.just(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/empty"))),
    st.just(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", url=pfs.AddFileUrlSource(url="http://a/b")))),
    st.just(pfs.ModifyFileRequest()),
)


@given(request=REQUESTS)
def test_a_message_means_what_betterproto_reads(request: pfs.ModifyFileRequest) -> None:
    found = decode(bytes(request))
    _, add = betterproto.which_one_of(request, "body")
    if isinstance(add, pfs.AddFile) and add.raw is not None:
        assert isinstance(found, Content)
        assert (found.path, bytes(found.data)) == (add.path, add.raw)
    else:
        assert found == request
