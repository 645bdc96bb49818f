"""What a request's prompt is made of besides the request: what its tenant stored, and what is to be stored of it."""
