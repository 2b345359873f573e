"""The stages that read and write images, beside their rivals and the machine's ceiling, and under kill -9."""
