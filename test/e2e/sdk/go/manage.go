package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	functions "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// manage makes a function of a deployment package, waits for it as tools do, pages through what there is, and deletes it.
func manage(ctx context.Context, file, role string) error {
	code, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		return err
	}
	c, name := functions.NewFromConfig(cfg), aws.String("gomade")
	made, err := c.CreateFunction(ctx, &functions.CreateFunctionInput{FunctionName: name, Role: aws.String(role), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Code: &types.FunctionCode{ZipFile: code}})
	if err != nil {
		return err
	}
	if made.State != types.StatePending {
		return fmt.Errorf("made as %s", made.State)
	}
	if err := functions.NewFunctionActiveV2Waiter(c).Wait(ctx, &functions.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		return err
	}
	if _, err := c.UpdateFunctionConfiguration(ctx, &functions.UpdateFunctionConfigurationInput{FunctionName: name, Timeout: aws.Int32(5)}); err != nil {
		return err
	}
	if err := functions.NewFunctionUpdatedV2Waiter(c).Wait(ctx, &functions.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		return err
	}
	pages, n := functions.NewListFunctionsPaginator(c, &functions.ListFunctionsInput{MaxItems: aws.Int32(1)}), 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n += len(page.Functions)
	}
	_, err = c.PublishVersion(ctx, &functions.PublishVersionInput{FunctionName: name, RevisionId: made.RevisionId})
	var stale *types.PreconditionFailedException
	if !errors.As(err, &stale) {
		return fmt.Errorf("a write for another state: %w", err)
	}
	_, err = c.CreateFunction(ctx, &functions.CreateFunctionInput{FunctionName: name, Role: aws.String(role), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Code: &types.FunctionCode{ZipFile: code}})
	var taken *types.ResourceConflictException
	if !errors.As(err, &taken) {
		return fmt.Errorf("a name that is taken: %w", err)
	}
	if _, err := c.DeleteFunction(ctx, &functions.DeleteFunctionInput{FunctionName: name}); err != nil {
		return err
	}
	_, err = c.GetFunction(ctx, &functions.GetFunctionInput{FunctionName: name})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return fmt.Errorf("a function that is gone: %w", err)
	}
	fmt.Printf("all held: %d functions\n", n)
	return nil
}
