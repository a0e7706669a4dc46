"""Who is who: samples, recordings, the manifest, and what its databases say of it."""
