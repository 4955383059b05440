"""The pages that people look at: `views` reads, `charts` draws, the templates show; none of them changes anything."""
