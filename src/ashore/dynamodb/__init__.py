"""The only place that talks to DynamoDB and to S3: tables by parallel Scan, and their exports."""
