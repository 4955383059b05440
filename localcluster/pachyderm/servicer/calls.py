"""Every call that this pachd serves; what is missing here answers UNIMPLEMENTED.

The messages are the installed SDK's own; each line is (service, method, kind, request, response, handler).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from betterproto.lib.google.protobuf import BytesValue, Empty
from pachyderm_sdk.api import admin, auth, pfs, pps, transaction, version

from localcluster.pachyderm.servicer import cluster, commits, files, jobs, logs, pipelines, repos
from localcluster.pachyderm.servicer.cluster import RawMessage


class Kind(Enum):
    """Which sides of a call are streams."""

    UNARY = "unary"
    SERVER_STREAM = "server stream"
    CLIENT_STREAM = "client stream"


@dataclass(frozen=True)
class Call:
    """One served call; an `open` one needs no token."""

    service: str
    method: str
    kind: Kind
    request: Any
    response: Any
    handler: Callable[..., Any]
    open: bool = False

    @property
    def name(self) -> str:
        """As on the wire, without the leading slash."""
        return f"{self.service}/{self.method}"


def _pfs(method: str, kind: Kind, request: Any, response: Any, handler: Callable[..., Any]) -> Call:
    return Call("pfs_v2.API", method, kind, request, response, handler)


def _pps(method: str, kind: Kind, request: Any, response: Any, handler: Callable[..., Any]) -> Call:
    return Call("pps_v2.API", method, kind, request, response, handler)


_U, _S, _C = Kind.UNARY, Kind.SERVER_STREAM, Kind.CLIENT_STREAM

CALLS: tuple[Call, ...] = (
    _pfs("CreateProject", _U, pfs.CreateProjectRequest, Empty, repos.create_project),
    _pfs("InspectProject", _U, pfs.InspectProjectRequest, pfs.ProjectInfo, repos.inspect_project),
    _pfs("InspectProjectV2", _U, pfs.InspectProjectV2Request, pfs.InspectProjectV2Response, repos.inspect_project_v2),
    _pfs("ListProject", _S, pfs.ListProjectRequest, pfs.ProjectInfo, repos.list_project),
    _pfs("DeleteProject", _U, pfs.DeleteProjectRequest, Empty, repos.delete_project),
    _pfs("CreateRepo", _U, pfs.CreateRepoRequest, Empty, repos.create_repo),
    _pfs("InspectRepo", _U, pfs.InspectRepoRequest, pfs.RepoInfo, repos.inspect_repo),
    _pfs("ListRepo", _S, pfs.ListRepoRequest, pfs.RepoInfo, repos.list_repo),
    _pfs("DeleteRepo", _U, pfs.DeleteRepoRequest, pfs.DeleteRepoResponse, repos.delete_repo),
    _pfs("DeleteRepos", _U, pfs.DeleteReposRequest, pfs.DeleteReposResponse, repos.delete_repos),
    _pfs("CreateBranch", _U, pfs.CreateBranchRequest, Empty, repos.create_branch),
    _pfs("InspectBranch", _U, pfs.InspectBranchRequest, pfs.BranchInfo, repos.inspect_branch),
    _pfs("ListBranch", _S, pfs.ListBranchRequest, pfs.BranchInfo, repos.list_branch),
    _pfs("DeleteBranch", _U, pfs.DeleteBranchRequest, Empty, repos.delete_branch),
    _pfs("StartCommit", _U, pfs.StartCommitRequest, pfs.Commit, commits.start_commit),
    _pfs("FinishCommit", _U, pfs.FinishCommitRequest, Empty, commits.finish_commit),
    _pfs("ClearCommit", _U, pfs.ClearCommitRequest, Empty, commits.clear_commit),
    _pfs("InspectCommit", _U, pfs.InspectCommitRequest, pfs.CommitInfo, commits.inspect_commit),
    _pfs("ListCommit", _S, pfs.ListCommitRequest, pfs.CommitInfo, commits.list_commit),
    _pfs("FindCommits", _S, pfs.FindCommitsRequest, pfs.FindCommitsResponse, commits.find_commits),
    _pfs("SubscribeCommit", _S, pfs.SubscribeCommitRequest, pfs.CommitInfo, commits.subscribe_commit),
    _pfs("InspectCommitSet", _S, pfs.InspectCommitSetRequest, pfs.CommitInfo, commits.inspect_commit_set),
    _pfs("ListCommitSet", _S, pfs.ListCommitSetRequest, pfs.CommitSetInfo, commits.list_commit_set),
    _pfs("SquashCommitSet", _U, pfs.SquashCommitSetRequest, Empty, commits.squash_commit_set),
    _pfs("DropCommitSet", _U, pfs.DropCommitSetRequest, Empty, commits.drop_commit_set),
    _pfs("SquashCommit", _U, pfs.SquashCommitRequest, pfs.SquashCommitResponse, commits.squash_commit),
    _pfs("DropCommit", _U, pfs.DropCommitRequest, pfs.DropCommitResponse, commits.drop_commit),
    _pfs("ModifyFile", _C, pfs.ModifyFileRequest, Empty, files.modify_file),
    _pfs("GetFile", _S, pfs.GetFileRequest, BytesValue, files.get_file),
    _pfs("GetFileTAR", _S, pfs.GetFileRequest, BytesValue, files.get_file_tar),
    _pfs("InspectFile", _U, pfs.InspectFileRequest, pfs.FileInfo, files.inspect_file),
    _pfs("ListFile", _S, pfs.ListFileRequest, pfs.FileInfo, files.list_file),
    _pfs("WalkFile", _S, pfs.WalkFileRequest, pfs.FileInfo, files.walk_file),
    _pfs("GlobFile", _S, pfs.GlobFileRequest, pfs.FileInfo, files.glob_file),
    _pfs("DiffFile", _S, pfs.DiffFileRequest, pfs.DiffFileResponse, files.diff_file),
    _pfs("Fsck", _S, pfs.FsckRequest, pfs.FsckResponse, files.fsck),
    _pps(
        "CreatePipelineV2", _U, pps.CreatePipelineV2Request, pps.CreatePipelineV2Response, pipelines.create_pipeline_v2
    ),
    _pps("CreatePipeline", _U, pps.CreatePipelineRequest, Empty, pipelines.create_pipeline),
    _pps("InspectPipeline", _U, pps.InspectPipelineRequest, pps.PipelineInfo, pipelines.inspect_pipeline),
    _pps("ListPipeline", _S, pps.ListPipelineRequest, pps.PipelineInfo, pipelines.list_pipeline),
    _pps("DeletePipeline", _U, pps.DeletePipelineRequest, Empty, pipelines.delete_pipeline),
    _pps("DeletePipelines", _U, pps.DeletePipelinesRequest, pps.DeletePipelinesResponse, pipelines.delete_pipelines),
    _pps("StartPipeline", _U, pps.StartPipelineRequest, Empty, pipelines.start_pipeline),
    _pps("StopPipeline", _U, pps.StopPipelineRequest, Empty, pipelines.stop_pipeline),
    _pps("RerunPipeline", _U, pps.RerunPipelineRequest, Empty, pipelines.rerun_pipeline),
    _pps("RunCron", _U, pps.RunCronRequest, Empty, pipelines.run_cron),
    _pps("ListJob", _S, pps.ListJobRequest, pps.JobInfo, jobs.list_job),
    _pps("ListJobSet", _S, pps.ListJobSetRequest, pps.JobSetInfo, jobs.list_job_set),
    _pps("InspectJob", _U, pps.InspectJobRequest, pps.JobInfo, jobs.inspect_job),
    _pps("InspectJobSet", _S, pps.InspectJobSetRequest, pps.JobInfo, jobs.inspect_job_set),
    _pps("SubscribeJob", _S, pps.SubscribeJobRequest, pps.JobInfo, jobs.subscribe_job),
    _pps("StopJob", _U, pps.StopJobRequest, Empty, jobs.stop_job),
    _pps("DeleteJob", _U, pps.DeleteJobRequest, Empty, jobs.delete_job),
    _pps("RestartDatum", _U, pps.RestartDatumRequest, Empty, jobs.restart_datum),
    _pps("ListDatum", _S, pps.ListDatumRequest, pps.DatumInfo, jobs.list_datum),
    _pps("InspectDatum", _U, pps.InspectDatumRequest, pps.DatumInfo, jobs.inspect_datum),
    _pps("GetLogs", _S, pps.GetLogsRequest, pps.LogMessage, logs.get_logs),
    Call(
        "transaction_v2.API",
        "BatchTransaction",
        _U,
        transaction.BatchTransactionRequest,
        transaction.TransactionInfo,
        jobs.batch_transaction,
    ),
    Call("admin_v2.API", "InspectCluster", _U, admin.InspectClusterRequest, admin.ClusterInfo, cluster.inspect_cluster),
    Call("auth_v2.API", "WhoAmI", _U, auth.WhoAmIRequest, auth.WhoAmIResponse, cluster.who_am_i),
    Call("versionpb_v2.API", "GetVersion", _U, Empty, version.Version, cluster.get_version, open=True),
    Call("grpc.health.v1.Health", "Check", _U, RawMessage, RawMessage, cluster.health, open=True),
)
